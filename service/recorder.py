"""Keeps the record of every request, and gives the answer its id."""

from collections.abc import Awaitable
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs, record, request_id
from service.ledger import Ledger
from service.record import ELSEWHERE, Record

_NAME = request_id.HEADER.lower().encode()


class Recorder:
    """Hands a record to the ledger for each request, once its answer is complete."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = Record(
            request_id.of(scope["headers"]),
            scope["method"],
            perf_counter(),
            scope["scheme"],
            scope["path"],
            scope["headers"],
        )
        record.attach(scope, kept)

        def watch(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                kept.code = message["status"]
                message["headers"] = [*message["headers"], (_NAME, kept.id.encode())]
            return send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # who asked has been told that there was one
            logs.failure("request_failed", f"{kept.method} {kept.route} ended in a fault", error, id=kept.id)
        finally:
            kept.total = perf_counter() - kept.began
            if kept.route is ELSEWHERE:
                kept.route = getattr(scope.get("route"), "path", ELSEWHERE)
            self._ledger.enter(kept)
