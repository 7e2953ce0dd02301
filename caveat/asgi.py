"""The service as an ASGI application, for a server of your own: ``uvicorn caveat.asgi:app``.

``app`` takes its settings from the ``CAVEAT_*`` variables; ``create_app`` takes `Settings`. Both are whole:
they watch the store, report on requests, notice clients that leave, and answer what is admitted before they
end.

Examples
--------
In an application of your own, whose lifespan then starts and ends the service too:

>>> from fastapi import FastAPI
>>> caveat = create_app(Settings())
>>> app = FastAPI(lifespan=caveat.lifespan)
>>> app.mount("/caveat", caveat)
"""

from pydantic import ValidationError

from caveat.models.errors import CaveatError
from caveat.service.rest.app import App, create_app
from caveat.service.settings import Settings

__all__ = ["App", "Settings", "create_app"]


def __getattr__(name: str) -> App:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        made = create_app(Settings())
    except ValidationError as error:
        raise CaveatError(str(error)) from None
    globals()["app"] = made
    return made
