"""Reports requests, and adds the headers that every answer has."""

from time import perf_counter

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caveat.service.desk.monitoring import log
from caveat.service.desk.monitoring.record import ELSEWHERE, Record
from caveat.service.desk.monitoring.reports import Reports
from caveat.service.desk.refusals import LeftError
from caveat.service.rest import request_id
from caveat.service.rest.headers import EVERYWHERE_RAW
from caveat.service.rest.problems import is_fault, respond, status_of
from caveat.service.rest.reply import sending
from caveat.service.rest.routes import POLLED
from caveat.service.rest.scope import attach, trace_of


class Recorder:
    """ASGI middleware that makes a record of each request, once the answer is complete."""

    def __init__(self, app: ASGIApp, reports: Reports) -> None:
        self._app = app
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the app, and record it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        record = Record(request_id.of(dict(scope["headers"])), scope["method"], began)
        await self._keep(record, self._app, scope, receive, send)

    async def refuse(
        self, record: Record, error: Exception, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request with the problem document of an error, and record it.

        A client that has left gets no answer: some servers would wait for it to be read.
        """
        if isinstance(error, LeftError):
            _note_leave(record)
            record.ended = perf_counter()
            self.enter(record, scope)
            return

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response = await respond(Request(scope), error)
            await response(scope, receive, send)
            if is_fault(error):
                raise error

        await self._keep(record, answer, scope, receive, send)

    def enter(self, record: Record, scope: Scope) -> None:
        """Take the record of a finished request."""
        if self._reports.traced:
            record.trace = trace_of(scope, record)
        self._reports.enter(record)

    async def _keep(self, record: Record, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        attach(scope, record)
        outer = scope.pop("route", None)  # of the application that this one is mounted in

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.code = message["status"]
                if record.code < 400:
                    record.outcome = "answered"
                own = [*EVERYWHERE_RAW, (request_id.NAME, record.id.encode())]
                message["headers"] = [*message["headers"], *own]
            await sending(send(message))

        try:
            await app(scope, receive, watch)
        except Exception as error:
            if isinstance(error, LeftError) or isinstance(error.__context__, LeftError):
                _note_leave(record)
                return
            # The client has its 500 already.
            words = f"{record.method} {_route(record, scope)} ended in a fault"
            log.failure("request_failed", words, error, id=record.id)
        finally:
            record.ended = perf_counter()
            record.route = _route(record, scope)
            record.polled = record.route in POLLED
            self.enter(record, scope)
            if outer is not None:
                scope["route"] = outer


def _note_leave(record: Record) -> None:
    refusal = LeftError()
    record.code, record.outcome, record.detail = status_of(refusal), "left", refusal.detail


def _route(record: Record, scope: Scope) -> str:
    """Find the route of a request; FastAPI writes it into the scope while it answers."""
    found: str = getattr(scope.get("route"), "path", ELSEWHERE)
    return found if record.route is ELSEWHERE else record.route
