"""The application: a whole service, under any ASGI server."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from caveat.models.errors import CaveatError
from caveat.service.desk.desk import Desk
from caveat.service.desk.refusals import NotReadyError
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
from caveat.service.rest.routes import ROUTES
from caveat.service.rest.verbs import Verbs
from caveat.service.settings import Settings

_CLASSES: Final[Mapping[str, type[Response]]] = {
    "card": HTMLResponse,
    "card_of_version": HTMLResponse,
    "expose_metrics": PlainTextResponse,
}
"""The kinds of answers that are not JSON."""

_BODIES: Final = {"point": "Pointer"}
"""The schemas of bodies that handlers read themselves."""


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
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None, lifespan=self.lifespan)
        kind = uncertainty_request(desk.settings)
        _add_routes(self, desk, DocsHandlers(desk, kind))
        add_handlers(self)
        guard = Guard(super().__call__, desk.settings)
        self._recorder = Recorder(guard, desk.records)
        self._entry = Verbs(self._recorder, guard, desk, kind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or the server's messages on its start and end."""
        if scope["type"] == "lifespan":
            await self.lifespan.obey(receive, send)
            return
        if self.desk.loop is not asyncio.get_running_loop():  # mounted where nothing has started it
            try:
                await self.lifespan.start()
            except CaveatError as error:
                await self._recorder.fail(NotReadyError(str(error)), scope, receive, send)
                return
        await self._entry(scope, receive, send)


def create_app(settings: Settings) -> App:
    """Make the application; it loads the store as the server starts it, or at its first request."""
    return App(Desk(settings))


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
        body = _BODIES.get(route.name)
        content = {"application/json": {"schema": ref(body)}} if body else None
        app.add_api_route(
            route.path,
            handlers[route.name],
            methods=[route.method],
            tags=[route.tag] if route.tag else None,
            summary=route.summary,
            responses=problems(*route.problems),
            response_class=_CLASSES.get(route.name, JSONResponse),
            include_in_schema=route.tag is not None,
            openapi_extra={"requestBody": {"required": True, "content": content}} if content else None,
        )
        if route.head:
            app.add_api_route(route.path, handlers[route.name], methods=["HEAD"], include_in_schema=False)
