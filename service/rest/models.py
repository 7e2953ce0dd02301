"""The routes that tell of the loaded models."""

from typing import Annotated, Final

from fastapi import Path, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from caveat.models.predictor import Predictor
from caveat.service.desk import description
from caveat.service.desk.description import Model
from caveat.service.desk.desk import Desk
from caveat.service.rest.documentation.operations import PARAMETERS
from caveat.service.rest.headers import SANDBOX, of_page
from caveat.service.rest.problems import RequestError
from caveat.service.rest.scope import record_of

_NO_CARD: Final = "this model has no card; `caveat calibrate` makes a version with a card"

# A card comes from a bundle, so its page may run no scripts, load nothing and lead nowhere.
_PAGE_HEADERS: Final = of_page(SANDBOX, style_src="'unsafe-inline'")

Name = Annotated[str, Path(description=PARAMETERS["name"][1])]
Version = Annotated[int | str, Path(description=PARAMETERS["version"][1])]


class ModelHandlers:
    """Lists and describes models."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list_models(self) -> description.Models:
        """List the loaded models."""
        return description.list_models(self._desk.catalogue)

    async def describe(self, request: Request, name: Name) -> Model:
        """Describe the highest version of a model."""
        return description.describe(self._found(request.scope, name), self._desk.catalogue)

    async def describe_version(self, request: Request, name: Name, version: Version) -> Model:
        """Describe a version of a model."""
        return description.describe(self._found(request.scope, name, version), self._desk.catalogue)

    async def card(self, request: Request, name: Name) -> Response:
        """Show the card of a model's highest version."""
        return _page(self._found(request.scope, name))

    async def card_of_version(self, request: Request, name: Name, version: Version) -> Response:
        """Show the card of a version of a model."""
        return _page(self._found(request.scope, name, version))

    def _found(self, scope: Scope, name: str, version: int | str | None = None) -> Predictor:
        """Find a predictor, and note it in the record of the request."""
        predictor = self._desk.find(name, version)
        record = record_of(scope)
        record.model, record.version = predictor.manifest.name, predictor.manifest.version
        return predictor


def _page(predictor: Predictor) -> HTMLResponse:
    if predictor.card is None:
        raise RequestError(404, _NO_CARD)
    return HTMLResponse(predictor.card, headers=_PAGE_HEADERS)
