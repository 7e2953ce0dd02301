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

from pydantic import ValidationError

from caveat.service.rest.app import App, create_app
from caveat.service.settings import Settings

__all__ = ["App", "Settings", "app", "create_app"]


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        variable = "_".join(["CAVEAT", *map(str, fault["loc"])]).upper()
        raise SystemExit(f"{variable}: {fault['msg'].removeprefix('Value error, ')}") from None


app = create_app(_settings())
