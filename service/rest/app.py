"""The application: a whole service, under any ASGI server."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from fastapi import FastAPI
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from caveat.service.desk.desk import Desk
from caveat.service.desk.monitoring import log
from caveat.service.rest.admin import AdminHandlers
from caveat.service.rest.content.request import uncertainty_request
from caveat.service.rest.documentation.docs import DocsHandlers
from caveat.service.rest.documentation.operations import problems, ref
from caveat.service.rest.guard import Guard
from caveat.service.rest.lifespan import Lifespan
from caveat.service.rest.models import ModelHandlers
from caveat.service.rest.probes import ProbeHandlers
from caveat.service.rest.problems import add_handlers
from caveat.service.rest.recorder import Recorder
from caveat.service.rest.routes import ROUTES, Media
from caveat.service.rest.verbs import Verbs
from caveat.service.settings import Settings

_CLASSES: Final[Mapping[Media, type[Response]]] = {
    "json": JSONResponse,
    "html": HTMLResponse,
    "text": PlainTextResponse,
}


class App(FastAPI):
    """FastAPI behind the verbs, the recorder and the guard, which see a request first.

    Parameters
    ----------
    desk
        Answers the requests.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.lifespan = Lifespan(desk)
        """Starts and ends the service, for an application that this one is mounted in."""
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        kind = uncertainty_request(desk.settings)
        _add_routes(self, desk, DocsHandlers(desk, kind))
        add_handlers(self)
        guard = Guard(super().__call__, desk.settings)
        self._entry = Verbs(Recorder(guard, desk.reports), guard, desk, kind)

    def add_middleware(self, *_: object, **__: object) -> NoReturn:
        """Refuse middleware, which would not see the requests for predictions.

        Raises
        ------
        TypeError
            Always: wrap the application in the middleware, or mount it in one that has it.
        """
        raise TypeError("wrap the application in the middleware, as in Middleware(app), or mount it")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or the server's messages on its start and end."""
        if scope["type"] == "lifespan":
            await self.lifespan.obey(receive, send)
            return
        if self.desk.loop is not asyncio.get_running_loop() or self.lifespan.is_starting:
            await self.lifespan.start_unasked()
        await self._entry(scope, receive, send)


def create_app(settings: Settings | None = None) -> App:
    """Make the application for a server of one's own; it loads the store as the server starts it.

    Parameters
    ----------
    settings
        Settings of the service; by default those of the environment. Address, port, TLS and the number of
        workers are the server's.
    """
    settings = settings or Settings()
    if settings.tls_certificate is not None:
        message = "the certificate is not used: TLS is up to the server that runs this application"
        log.event("settings", message, "warning")
    return App(Desk(settings.model_copy(update={"workers": 1})))


def _add_routes(app: FastAPI, desk: Desk, docs: DocsHandlers) -> None:
    models, probes, admin = ModelHandlers(desk), ProbeHandlers(desk), AdminHandlers(desk)
    handlers: dict[str, Callable[..., Any]] = {
        "list_models": models.list_models,
        "describe": models.describe,
        "describe_version": models.describe_version,
        "card": models.card,
        "card_of_version": models.card_of_version,
        "live": probes.live,
        "ready": probes.ready,
        "model_ready": probes.model_ready,
        "expose_metrics": probes.expose_metrics,
        "reload": admin.reload,
        "point": admin.point,
        "unpoint": admin.unpoint,
        "root": docs.root,
        "openapi": docs.openapi,
        "docs": docs.docs,
        "asset": docs.asset,
    }
    for route in ROUTES:
        if route.verb:  # answered before FastAPI
            continue
        content = {"application/json": {"schema": ref(route.body)}} if route.body else None
        app.add_api_route(
            route.path,
            handlers[route.name],
            methods=[route.method],
            tags=[route.tag] if route.tag else None,
            summary=route.summary,
            responses=problems(*route.problems),
            response_class=_CLASSES[route.media],
            include_in_schema=route.tag is not None,
            openapi_extra={"requestBody": {"required": True, "content": content}} if content else None,
        )
        if route.head:
            app.add_api_route(route.path, handlers[route.name], methods=["HEAD"], include_in_schema=False)
