"""Records requests, and adds the headers that every answer has."""

from collections.abc import Awaitable
from time import perf_counter

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caveat.service.desk.monitoring import log
from caveat.service.desk.monitoring.record import ELSEWHERE, Record
from caveat.service.desk.monitoring.records import Records
from caveat.service.rest import recorded, request_id
from caveat.service.rest.headers import EVERYWHERE_RAW
from caveat.service.rest.problems import is_fault, respond
from caveat.service.rest.routes import POLLED


class Recorder:
    """ASGI middleware that makes a record of each request, once the answer is complete."""

    def __init__(self, app: ASGIApp, records: Records) -> None:
        self._app = app
        self._records = records

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the app, and record it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._keep(_begun(scope), self._app, scope, receive, send)

    async def fail(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request before any other part of the service has seen it."""
        if scope["type"] == "http":
            await self.refuse(_begun(scope), error, scope, receive, send)

    async def refuse(
        self, record: Record, error: Exception, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request with the problem document of an error, and record it."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response = await respond(Request(scope), error)
            await response(scope, receive, send)
            if is_fault(error):
                raise error

        await self._keep(record, answer, scope, receive, send)

    def enter(self, record: Record, scope: Scope) -> None:
        """Take the record of a finished request."""
        if self._records.traced:
            record.trace = recorded.trace_of(scope)
        self._records.enter(record)

    async def _keep(self, record: Record, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        recorded.attach(scope, record)

        def watch(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.code = message["status"]
                own = [*EVERYWHERE_RAW, (request_id.NAME, record.id.encode())]
                message["headers"] = [*message["headers"], *own]
            return send(message)

        try:
            await app(scope, receive, watch)
        except Exception as error:  # the client has its 500 already
            words = f"{record.method} {_route(record, scope)} ended in a fault"
            log.failure("request_failed", words, error, id=record.id)
        finally:
            record.ended = perf_counter()
            record.route = _route(record, scope)
            record.polled = record.route in POLLED
            self.enter(record, scope)


def _begun(scope: Scope) -> Record:
    return Record(request_id.of(dict(scope["headers"])), scope["method"], perf_counter())


def _route(record: Record, scope: Scope) -> str:
    """Find the route of a request; FastAPI writes it into the scope while it answers."""
    found: str = getattr(scope.get("route"), "path", ELSEWHERE)
    return found if record.route is ELSEWHERE else record.route
