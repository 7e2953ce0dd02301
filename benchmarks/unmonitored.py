"""The `caveat` command with a service that keeps no records: what monitoring costs is measured beside it."""

from starlette.types import ASGIApp, Receive, Scope, Send

import caveat
from service import app, record
from service.ledger import Ledger
from service.record import Record


class Unrecorded:
    """Stands in for `service.recorder.Recorder`: all requests share one record, which nobody reads."""

    def __init__(self, app: ASGIApp, _: Ledger) -> None:
        self._app = app
        self._shared = Record("", "POST", 0.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        record.attach(scope, self._shared)
        await self._app(scope, receive, send)


def fold(ledger: Ledger) -> None:
    """Forget the turns, so that they do not pile up."""
    ledger._batcher.turns.clear()


if __name__ == "__main__":
    app.Recorder = Unrecorded  # type: ignore[misc, assignment]
    Ledger.fold = fold  # type: ignore[method-assign]
    raise SystemExit(caveat.main())
