"""Applications of somebody else, with the service below a path of theirs."""

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from caveat.asgi import Settings, app, create_app

_service = create_app(Settings())
started = FastAPI(lifespan=_service.lifespan)
"""Starts and ends the service with itself."""
started.mount("/caveat", _service)

unstarted = Starlette(routes=[Mount("/caveat", app)])
"""Knows nothing of the service but that it is an application: the first request starts it."""
