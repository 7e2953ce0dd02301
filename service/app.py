"""The application: its routes, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from service import docs
from service.endpoints import Endpoints
from service.errors import add_handlers
from service.metrics import MetricsMiddleware
from service.openapi import answers, asks, problems
from service.request import PredictRequest
from service.schemas import Classes, UncertainClasses, UncertainValues, Values
from service.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Make the application; its lifespan loads the store."""
    endpoints = Endpoints(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(endpoints.load)
        yield

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.endpoints = endpoints
    app.add_middleware(MetricsMiddleware, metrics=endpoints.metrics)
    add_handlers(app)

    app.add_api_route(
        "/models",
        endpoints.list_models,
        tags=["Models"],
        summary="The models that are loaded",
        responses=problems(500, 503),
    )
    # Every verb can be asked of the default model, of a named one, or of a version of it.
    for path, select, tag, which in (
        ("", endpoints.default, "Predict", "default"),
        ("/models/{name}", endpoints.highest, "Models", "model"),
        ("/models/{name}/versions/{version}", endpoints.exact, "Models", "version"),
    ):
        if path:
            app.add_api_route(
                path,
                endpoints.describe(select),
                tags=[tag],
                operation_id=f"describe_{which}",
                summary="What a model takes, answers and comes from",
                responses=problems(404, 422, 500, 503),
            )
        app.add_api_route(
            f"{path}/predict",
            endpoints.predict(select),
            methods=["POST"],
            tags=[tag],
            operation_id=f"predict_{which}",
            summary="Predict without dropout",
            openapi_extra=asks(PredictRequest),
            responses=answers(Classes, Values) | problems(400, 404, 413, 415, 422, 500, 503),
        )
        app.add_api_route(
            f"{path}/predict/uncertainty",
            endpoints.uncertainty(select),
            methods=["POST"],
            tags=[tag],
            operation_id=f"uncertainty_{which}",
            summary="Predict with uncertainty, from many stochastic passes",
            openapi_extra=asks(endpoints.uncertainty_request),
            responses=answers(UncertainClasses, UncertainValues)
            | problems(400, 404, 413, 415, 422, 500, 503),
        )

    app.add_api_route(
        "/health/live",
        endpoints.live,
        tags=["Operate"],
        summary="Whether the process answers",
        responses=problems(500),
    )
    app.add_api_route(
        "/health/ready",
        endpoints.ready,
        tags=["Operate"],
        summary="Whether the models are loaded",
        responses=problems(500, 503),
    )
    app.add_api_route(
        "/metrics",
        endpoints.expose_metrics,
        tags=["Operate"],
        summary="Counters and timings for Prometheus",
        response_class=PlainTextResponse,
        responses=problems(500),
    )
    # For what probes with HEAD; the document has each as its GET alone.
    for path, answer in (("/health/live", endpoints.live), ("/health/ready", endpoints.ready)):
        app.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/", docs.from_root, include_in_schema=False)
    app.add_api_route("/openapi.json", endpoints.openapi, include_in_schema=False)
    app.add_api_route("/docs", docs.page, include_in_schema=False)
    app.mount(docs.ASSETS, docs.assets())
    return app
