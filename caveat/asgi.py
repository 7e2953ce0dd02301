"""The service as an ASGI application, for a server of your own: ``uvicorn caveat.asgi:app``.

``app`` takes its settings from the ``CAVEAT_*`` variables; ``create_app`` makes another one from `Settings`.
Both are whole: they watch the store, report on requests, notice clients that leave, and answer what is
admitted before they end.

Examples
--------
In an application of your own, whose lifespan starts and ends the service too:

>>> from fastapi import FastAPI
>>> service = create_app(Settings(default_model="digits"))
>>> site = FastAPI(lifespan=service.lifespan)
>>> site.mount("/caveat", service)

Without ``lifespan``, the first request starts the service, and its last log lines may be lost at the end.
"""

from typing import Any, Final

from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from caveat.models.errors import CaveatError
from caveat.service.rest.app import App, create_app
from caveat.service.rest.lifespan import Lifespan
from caveat.service.settings import Settings

__all__ = ["App", "Settings", "app", "create_app"]

_OWN: Final[dict[str, Any]] = {"host": "127.0.0.1", "port": 8000, "workers": 1}
"""Settings whose variables are not read, since the server decides; Kubernetes sets CAVEAT_PORT by itself."""


class _FromEnvironment:
    """Makes the application as the server starts it, so that an import reads no variable."""

    def __init__(self) -> None:
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or the server's messages on its start and end."""
        try:
            app = self._made()
        except CaveatError as error:
            if scope["type"] != "lifespan":
                raise
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await app(scope, receive, send)

    @property
    def lifespan(self) -> Lifespan:
        """Starts and ends the service; see `App.lifespan`."""
        return self._made().lifespan

    def _made(self) -> App:
        if self._app is None:
            self._app = create_app(_settings())
        return self._app


def _settings() -> Settings:
    try:
        return Settings(**_OWN)
    except ValidationError as error:
        fault = error.errors()[0]
        variable = "_".join(["CAVEAT", *map(str, fault["loc"])]).upper()
        reason = fault["msg"].removeprefix("Value error, ")
        raise CaveatError(f"{variable}: {reason}" if fault["loc"] else reason) from None


app = _FromEnvironment()
