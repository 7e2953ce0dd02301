"""The handlers of the routes."""

import re
from typing import Annotated, Any

from fastapi import Path, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from caveat.models.bundles.manifest import NAME, Manifest
from caveat.models.errors import InputError
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

NO_CALIBRATION = "exported without calibration rows; `caveat calibrate` makes a version with a calibration"

NO_CARD = "this model has no card; `caveat calibrate` makes a version with a card"

# A card comes from a bundle, so its page may run no scripts and load nothing.
_PAGE_HEADERS = of_page(style_src="'unsafe-inline'")

Name = Annotated[str, Path(description=PARAMETERS["name"][1])]
Version = Annotated[int | str, Path(description=PARAMETERS["version"][1])]


class Endpoints:
    """The handlers of the routes, and the parts of the service that they share."""

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
        """Load the store, which makes the service ready."""
        return self.rollout.begin()

    def close(self) -> None:
        """End the batcher and the ledger, once the last request is answered."""
        self.batcher.close()
        self.ledger.close()

    def catalogue(self) -> Catalogue:
        """Give the loaded models.

        Raises
        ------
        RequestError
            503 if the models are not loaded yet.
        """
        if self.rollout.catalogue is None:
            raise RequestError(503, "the models are not loaded yet; try again shortly", {"Retry-After": "1"})
        return self.rollout.catalogue

    async def live(self) -> Health:
        """Answer that the process is alive."""
        return Health(status="live")

    async def ready(self) -> Health:
        """Answer whether the service is ready: models are loaded, and it is not shutting down."""
        self.catalogue()
        self.door.check_open()
        return Health(status="ready")

    async def model_ready(self, name: Name) -> Health:
        """Answer whether a model is ready: a version is loaded, and the service is not shutting down."""
        catalogue = self.catalogue()
        self.door.check_open()
        reasons = catalogue.failures_of(name)
        if reasons and name not in catalogue.models:
            raise RequestError(503, f"no version of {name} can be loaded: {'; '.join(reasons)}")
        self.find(name)
        return Health(status="ready")

    async def expose_metrics(self) -> Response:
        """Write the metrics for Prometheus."""
        self.ledger.fold()
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> JSONResponse:
        """Write the OpenAPI document; it is cached until the model in its examples changes."""
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
        """List the loaded models."""
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
        """Describe the highest version of a model."""
        return self._described(self._found(request.scope, name))

    async def describe_version(self, request: Request, name: Name, version: Version) -> Model:
        """Describe a version of a model."""
        return self._described(self._found(request.scope, name, version))

    async def card(self, request: Request, name: Name) -> Response:
        """Show the card of a model's highest version."""
        return _page(self._found(request.scope, name))

    async def card_of_version(self, request: Request, name: Name, version: Version) -> Response:
        """Show the card of a version of a model."""
        return _page(self._found(request.scope, name, version))

    def find(self, name: str | None = None, version: int | str | None = None) -> Predictor:
        """Find the predictor that a path asks for.

        Parameters
        ----------
        name
            Name of the model; None finds the default model.
        version
            A number or an alias; None finds the highest version.

        Raises
        ------
        RequestError
            404 if there is no such model or version; 503 if the models are not loaded yet.
        InputError
            If the version is neither a number nor an alias.
        """
        try:
            return self.catalogue().find(name, _version(version))
        except UnknownModelError as error:
            raise RequestError(404, str(error)) from None

    def _found(self, scope: Scope, name: str, version: int | str | None = None) -> Predictor:
        """Find a predictor, and note it in the record of the request."""
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
    """Read the version in a path: a number or an alias."""
    if not isinstance(version, str):
        return version
    if re.fullmatch("[0-9]{1,18}", version):
        return int(version)
    if version.isdigit() or not re.fullmatch(NAME, version):
        raise InputError("version", "a valid integer or an alias", version[:80])
    return version
