"""Records requests, and adds the request's id to each answer."""

from collections.abc import Awaitable
from time import perf_counter

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caveat.service.errors import is_fault, respond
from caveat.service.monitoring import logs, record, request_id
from caveat.service.monitoring.ledger import Ledger
from caveat.service.monitoring.record import ELSEWHERE, Record


class Recorder:
    """ASGI middleware that gives the ledger a record of each request, once the answer is complete."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the app, and record it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        kept = Record(request_id.of(dict(scope["headers"])), scope["method"], began)
        await self._keep(kept, self._app, scope, receive, send)

    async def refuse(
        self, kept: Record, error: Exception, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request with the problem document of an error, and record it."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response = await respond(Request(scope), error)
            await response(scope, receive, send)
            if is_fault(error):
                raise error

        await self._keep(kept, answer, scope, receive, send)

    async def _keep(self, kept: Record, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        record.attach(scope, kept)

        def watch(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                kept.code = message["status"]
                message["headers"] = [*message["headers"], (request_id.NAME, kept.id.encode())]
            return send(message)

        try:
            await app(scope, receive, watch)
        except Exception as error:  # the client has its 500 already
            words = f"{kept.method} {_route(kept, scope)} ended in a fault"
            logs.failure("request_failed", words, error, id=kept.id)
        finally:
            kept.ended = perf_counter()
            kept.route = _route(kept, scope)
            self._ledger.enter(kept, scope)


def _route(kept: Record, scope: Scope) -> str:
    """Find the route of a request; FastAPI writes it into the scope while it answers."""
    route: str = getattr(scope.get("route"), "path", ELSEWHERE) if kept.route is ELSEWHERE else kept.route
    return route
