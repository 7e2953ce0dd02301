"""What each route does, in terms of HTTP."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from models.predictor import Predictor
from models.store import BUNDLED
from service import answers, body, openapi
from service.catalogue import Catalogue, UnknownModelError
from service.engine import Engine
from service.errors import RequestError
from service.metrics import Metrics
from service.request import uncertainty_request
from service.schemas import Health, Listed, Model, Models
from service.settings import Settings

Name = Annotated[str, Path(description="Name of a model that GET /models lists.")]
Version = Annotated[int, Path(description="A version that GET /models lists for it.")]
Select = Callable[..., Coroutine[Any, Any, Predictor]]
Endpoint = Callable[..., Coroutine[Any, Any, Any]]


class Endpoints:
    """The functions behind the routes, and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.uncertainty_request = uncertainty_request(settings)
        self._engine = Engine()
        self._catalogue: Catalogue | None = None
        self._document: dict[str, Any] | None = None

    def load(self) -> None:
        """Load the store; until then the service is not ready."""
        store = self.settings.store or BUNDLED
        self._catalogue = Catalogue.load(store, self.settings.default_model, self.settings.threads)

    def catalogue(self) -> Catalogue:
        """Give the models that are loaded.

        Raises
        ------
        RequestError
            503 if they are not loaded yet.
        """
        if self._catalogue is None:
            raise RequestError(503, "the models are not loaded yet; try again shortly", {"Retry-After": "1"})
        return self._catalogue

    async def live(self) -> Health:
        """Say that the process answers."""
        return Health(status="live")

    async def ready(self) -> Health:
        """Say that every model is loaded."""
        self.catalogue()
        return Health(status="ready")

    async def expose_metrics(self) -> Response:
        """Counters and timings for Prometheus."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> JSONResponse:
        """Describe the routes, written on the first request."""
        if self._document is None:
            self._document = openapi.document(
                request.app.routes, self.catalogue(), self.uncertainty_request, self.settings.max_rows
            )
        return JSONResponse(self._document)

    async def list_models(self) -> Models:
        """List the models that are loaded."""
        catalogue = self.catalogue()
        manifests = [catalogue.find(name).manifest for name in catalogue.models]
        return Models(
            default=catalogue.default,
            models=[
                Listed(
                    name=manifest.name,
                    versions=catalogue.versions(manifest.name),
                    task=manifest.task,
                    description=manifest.description,
                )
                for manifest in manifests
            ],
        )

    # The three ways to say which model is asked; each a dependency of the routes with its path.

    async def default(self, request: Request) -> Predictor:
        """Select the default model."""
        return self._select(request)

    async def highest(self, request: Request, name: Name) -> Predictor:
        """Select the highest version of a model."""
        return self._select(request, name)

    async def exact(self, request: Request, name: Name, version: Version) -> Predictor:
        """Select a version of a model."""
        return self._select(request, name, version)

    def _select(self, request: Request, name: str | None = None, version: int | None = None) -> Predictor:
        try:
            predictor = self.catalogue().find(name, version)
        except UnknownModelError as error:
            raise RequestError(404, str(error)) from None
        request.state.model = (predictor.manifest.name, predictor.manifest.version)
        return predictor

    # What a selected model is asked; each makes the endpoint for one way of selecting.

    def describe(self, select: Select) -> Endpoint:
        """Make the endpoint that tells what a model is."""

        async def describe(predictor: Annotated[Predictor, Depends(select)]) -> Model:
            manifest = predictor.manifest
            return Model.model_validate(
                {
                    **dict(manifest),
                    "versions": self.catalogue().versions(manifest.name),
                    "default": manifest.name == self.catalogue().default,
                    "digest": manifest.digest,
                }
            )

        return describe

    def predict(self, select: Select) -> Endpoint:
        """Make the endpoint that predicts without dropout."""

        async def predict(request: Request, predictor: Annotated[Predictor, Depends(select)]) -> Response:
            raw = await body.read(request, self.settings.max_bytes)
            answer = await self._engine.run(answers.predict, predictor, raw, self.settings.max_rows)
            return self._answered(predictor, answer)

        return predict

    def uncertainty(self, select: Select) -> Endpoint:
        """Make the endpoint that predicts with uncertainty."""

        async def uncertainty(request: Request, predictor: Annotated[Predictor, Depends(select)]) -> Response:
            raw = await body.read(request, self.settings.max_bytes)
            answer = await self._engine.run(
                answers.uncertainty, predictor, raw, self.uncertainty_request, self.settings.max_rows
            )
            return self._answered(predictor, answer)

        return uncertainty

    def _answered(self, predictor: Predictor, answer: answers.Answer) -> Response:
        manifest = predictor.manifest
        self.metrics.worked(manifest.name, manifest.version, answer.rows, answer.passes)
        return Response(answer.content, media_type="application/json")
