"""What each route does, in terms of HTTP."""

import re
from typing import Annotated, Any

from fastapi import Path, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from caveat.models.bundles.manifest import NAME, Manifest
from caveat.models.bundles.signature import InputError
from caveat.models.predictor import Predictor
from caveat.service import guard
from caveat.service.batching.batcher import Batcher
from caveat.service.content.headers import of_page
from caveat.service.content.request import uncertainty_request
from caveat.service.documentation import openapi
from caveat.service.documentation.operations import PARAMETERS
from caveat.service.documentation.schemas import Health, Listed, Model, Models, failing
from caveat.service.door import Door
from caveat.service.errors import RequestError
from caveat.service.monitoring import record, tracing
from caveat.service.monitoring.alarms import Alarms
from caveat.service.monitoring.ledger import Ledger
from caveat.service.monitoring.metrics import Metrics
from caveat.service.settings import Settings
from caveat.service.versions.catalogue import Catalogue, UnknownModelError
from caveat.service.versions.outcome import Outcome
from caveat.service.versions.relay import Relay
from caveat.service.versions.rollout import Rollout

NO_CALIBRATION = "no calibration rows were given; `caveat calibrate` makes a version that has one"

NO_CARD = "this model has no card; `caveat calibrate` makes a version that has one"

# Nothing in it runs, or asks for anything elsewhere, whatever a bundle brings.
_PAGE_HEADERS = of_page(style_src="'unsafe-inline'")

Name = Annotated[str, Path(description=PARAMETERS["name"][1])]
Version = Annotated[int | str, Path(description=PARAMETERS["version"][1])]


class Endpoints:
    """The functions behind the routes, and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.uncertainty_request = uncertainty_request(settings)
        self.door = Door(settings)
        self.batcher = Batcher()
        alarms = Alarms(self.metrics, settings.workers)
        self.ledger = Ledger(self.metrics, self.door, self.batcher, alarms, tracing.from_environment())
        self.rollout = Rollout(settings, self.metrics)
        self.relay = Relay(self.rollout.perform)
        self._document: tuple[Manifest | None, dict[str, Any]] = (None, {})

    def load(self) -> Outcome:
        """Load the store; until then the service is not ready."""
        return self.rollout.begin()

    def close(self) -> None:
        """End what runs beside the requests, once the last one is answered."""
        self.batcher.close()
        self.ledger.close()

    def catalogue(self) -> Catalogue:
        """Give the models that are loaded.

        Raises
        ------
        RequestError
            503 if they are not loaded yet.
        """
        if self.rollout.catalogue is None:
            raise RequestError(503, "the models are not loaded yet; try again shortly", {"Retry-After": "1"})
        return self.rollout.catalogue

    async def live(self) -> Health:
        """Say that the process answers."""
        return Health(status="live")

    async def ready(self) -> Health:
        """Say that models are loaded, and the service not about to end."""
        self.catalogue()
        self.door.check_open()
        return Health(status="ready")

    async def model_ready(self, name: Name) -> Health:
        """Say that a version of a model is loaded, and the service not about to end."""
        catalogue = self.catalogue()
        self.door.check_open()
        reasons = catalogue.failures_of(name)
        if reasons and name not in catalogue.models:
            raise RequestError(503, f"no version of {name} can be loaded: {'; '.join(reasons)}")
        self.find(name)
        return Health(status="ready")

    async def expose_metrics(self) -> Response:
        """Counters and timings for Prometheus."""
        self.ledger.fold()
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> JSONResponse:
        """Describe the routes, written on the first request after a change of the model that it shows."""
        catalogue = self.catalogue()
        shown = openapi.shown(catalogue)
        if self._document[0] is not shown:
            document = openapi.document(
                request.app.routes, catalogue, self.uncertainty_request, self.settings.max_rows
            )
            guard.describe(document, self.settings)
            openapi.tell_of_ids(document)
            self._document = (shown, document)
        return JSONResponse(self._document[1])

    async def list_models(self) -> Models:
        """List the models that are loaded."""
        catalogue = self.catalogue()
        manifests = [catalogue.find(name).manifest for name in catalogue.models]
        return Models(
            default=catalogue.default,
            models=[
                Listed(
                    name=manifest.name,
                    versions=list(catalogue.versions(manifest.name)),
                    aliases=catalogue.aliases_of(manifest.name),
                    task=manifest.task,
                    description=manifest.description,
                )
                for manifest in manifests
            ],
            failing=failing(catalogue.failing.items()),
        )

    async def describe(self, request: Request, name: Name) -> Model:
        """Tell what the highest version of a model is."""
        return self._described(self._found(request.scope, name))

    async def describe_version(self, request: Request, name: Name, version: Version) -> Model:
        """Tell what a version of a model is."""
        return self._described(self._found(request.scope, name, version))

    async def card(self, request: Request, name: Name) -> Response:
        """Show how far the highest version of a model can be trusted, as a page."""
        return _page(self._found(request.scope, name))

    async def card_of_version(self, request: Request, name: Name, version: Version) -> Response:
        """Show how far a version of a model can be trusted, as a page."""
        return _page(self._found(request.scope, name, version))

    def find(self, name: str | None = None, version: int | str | None = None) -> Predictor:
        """Find the model that a path asks: the default one, the highest version of one, or a version.

        Raises
        ------
        RequestError
            404 if there is no such model.
        InputError
            If the version is neither a number nor an alias.
        """
        try:
            return self.catalogue().find(name, _version(version))
        except UnknownModelError as error:
            raise RequestError(404, str(error)) from None

    def _found(self, scope: Scope, name: str, version: int | str | None = None) -> Predictor:
        """Find a model, and let the record of the request say which it was."""
        predictor = self.find(name, version)
        kept = record.of(scope)
        kept.model, kept.version = predictor.manifest.name, predictor.manifest.version
        return predictor

    def _described(self, predictor: Predictor) -> Model:
        manifest = predictor.manifest
        return Model.model_validate(
            {
                **dict(manifest),
                "versions": self.catalogue().versions(manifest.name),
                "aliases": self.catalogue().aliases_of(manifest.name),
                "default": manifest.name == self.catalogue().default,
                "digest": manifest.digest,
                "precision": predictor.precision,
                "card": predictor.card is not None,
                "calibration_missing": None if manifest.calibration else NO_CALIBRATION,
            }
        )


def _page(predictor: Predictor) -> HTMLResponse:
    if predictor.card is None:
        raise RequestError(404, NO_CARD)
    return HTMLResponse(predictor.card, headers=_PAGE_HEADERS)


def _version(version: int | str | None) -> int | str | None:
    """Read what stands in a path for a version: a number or an alias."""
    if not isinstance(version, str):
        return version
    if re.fullmatch("[0-9]{1,18}", version):
        return int(version)
    if version.isdigit() or not re.fullmatch(NAME, version):
        raise InputError("version", "a valid integer or an alias", version[:80])
    return version
