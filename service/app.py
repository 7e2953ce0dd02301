"""The application and its routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import Lifespan, Receive, Scope, Send

from caveat.service import admin
from caveat.service.documentation import docs
from caveat.service.documentation.operations import problems
from caveat.service.endpoints import Endpoints
from caveat.service.errors import add_handlers
from caveat.service.guard import Guard
from caveat.service.monitoring.recorder import Recorder
from caveat.service.settings import Settings
from caveat.service.verbs import Verbs


class App(FastAPI):
    """FastAPI behind the verbs, the recorder and the guard, which see a request first."""

    def __init__(self, endpoints: Endpoints, lifespan: Lifespan[Any]) -> None:
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
        self.state.endpoints = endpoints
        guard = Guard(super().__call__, endpoints.settings)
        self._entry = Verbs(Recorder(guard, endpoints.ledger), guard, endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._entry(scope, receive, send)


def create_app(settings: Settings) -> App:
    """Make the application; its lifespan loads the store."""
    endpoints = Endpoints(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        endpoints.load()  # before the first request
        yield
        endpoints.close()

    app = App(endpoints, lifespan)
    add_handlers(app)

    app.add_api_route(
        "/models",
        endpoints.list_models,
        tags=["Models"],
        summary="List the loaded models",
        responses=problems(500, 503),
    )
    app.add_api_route(
        "/models/{name}",
        endpoints.describe,
        tags=["Models"],
        summary="Describe a model: its inputs, its answers, its provenance",
        responses=problems(404, 422, 500, 503),
    )
    app.add_api_route(
        "/models/{name}/versions/{version}",
        endpoints.describe_version,
        tags=["Models"],
        summary="Describe a version of a model: its inputs, its answers, its provenance",
        responses=problems(404, 422, 500, 503),
    )
    app.add_api_route(
        "/models/{name}/card",
        endpoints.card,
        tags=["Models"],
        summary="Show the card of a model: how far it can be trusted",
        response_class=HTMLResponse,
        responses=problems(404, 422, 500, 503),
    )
    app.add_api_route(
        "/models/{name}/versions/{version}/card",
        endpoints.card_of_version,
        tags=["Models"],
        summary="Show the card of a version of a model: how far it can be trusted",
        response_class=HTMLResponse,
        responses=problems(404, 422, 500, 503),
    )
    app.add_api_route(
        "/health/live",
        endpoints.live,
        tags=["Operate"],
        summary="Liveness: whether the process answers",
        responses=problems(500),
    )
    app.add_api_route(
        "/health/ready",
        endpoints.ready,
        tags=["Operate"],
        summary="Readiness: whether the models are loaded",
        responses=problems(500, 503),
    )
    app.add_api_route(
        "/models/{name}/ready",
        endpoints.model_ready,
        tags=["Operate"],
        summary="Readiness of a model: whether it is loaded",
        responses=problems(404, 422, 500, 503),
    )
    admin.add_routes(app, admin.Admin(endpoints))
    app.add_api_route(
        "/metrics",
        endpoints.expose_metrics,
        tags=["Operate"],
        summary="Metrics for Prometheus",
        response_class=PlainTextResponse,
        responses=problems(500),
    )
    # Some probes use HEAD; the OpenAPI document lists only the GET of each.
    for path, answer in (("/health/live", endpoints.live), ("/health/ready", endpoints.ready)):
        app.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/", docs.from_root, include_in_schema=False)
    app.add_api_route("/openapi.json", endpoints.openapi, include_in_schema=False)
    app.add_api_route("/docs", docs.page, include_in_schema=False)
    app.add_api_route(f"{docs.ASSETS}/{{name}}", docs.asset, include_in_schema=False)
    return app
