"""The documentation: the OpenAPI document, and the page that shows it.

The page has Swagger UI from local files, so that it renders without internet access, and its links are
relative, so that it works below any path.
"""

from base64 import b64encode
from hashlib import sha256
from importlib.util import find_spec
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from caveat.models.bundles.manifest import Manifest
from caveat.service.desk.desk import Desk
from caveat.service.rest.content.request import UncertaintyRequest
from caveat.service.rest.documentation import openapi
from caveat.service.rest.headers import of_page
from caveat.service.rest.routes import ASSETS


class DocsHandlers:
    """Answers with the documentation.

    Parameters
    ----------
    desk
        Supplies the models of the examples.
    uncertainty_request
        Type of the bodies for uncertainty, with the limits of the service.
    """

    def __init__(self, desk: Desk, uncertainty_request: type[UncertaintyRequest]) -> None:
        self._desk = desk
        self._uncertainty_request = uncertainty_request
        self._document: tuple[Manifest | None, dict[str, Any]] = (None, {})

    async def openapi(self, request: Request) -> JSONResponse:
        """Write the OpenAPI document; it is kept until the model in its examples changes."""
        catalogue, settings = self._desk.catalogue, self._desk.settings
        shown = openapi.shown(catalogue)
        if self._document[0] is not shown:
            document = openapi.document(
                request.app.routes, catalogue, self._uncertainty_request, settings.max_rows
            )
            openapi.tell_of_keys(document, settings)
            openapi.tell_of_ids(document)
            self._document = (shown, document)
        root = request.scope.get("root_path", "")
        servers = {"servers": [{"url": root}]} if root else {}
        return JSONResponse({**self._document[1], **servers})

    async def docs(self) -> HTMLResponse:
        """Serve the page that shows every route, with examples to try out."""
        assets = ASSETS.removeprefix("/")
        shown = get_swagger_ui_html(
            openapi_url="openapi.json",
            title="Caveat",
            swagger_js_url=f"{assets}/swagger-ui-bundle.js",
            swagger_css_url=f"{assets}/swagger-ui.css",
            swagger_favicon_url=f"{assets}/favicon.png",
            swagger_ui_parameters={"defaultModelsExpandDepth": 0, "displayRequestDuration": True},
        )
        shown.headers.update(
            of_page(
                script_src=f"'self' {_starting(bytes(shown.body))}",
                style_src="'self' 'unsafe-inline'",  # Swagger UI writes styles of its own
                img_src="'self' data:",
                connect_src="'self'",
            )
        )
        return shown

    async def root(self, request: Request) -> RedirectResponse:
        """Redirect a browser from the root to the page."""
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    async def asset(self, asset: str) -> Response:
        """Serve a file of Swagger UI; the package that holds the files is located without importing it."""
        package = find_spec("fastapi_offline")
        assert package is not None
        assert package.origin is not None
        there = {path.name: path for path in (Path(package.origin).parent / "static").iterdir()}
        if asset not in there:  # a name from a client never becomes a path
            raise HTTPException(404)
        return Response(there[asset].read_bytes(), media_type=guess_type(asset)[0])


def _starting(content: bytes) -> str:
    """Hash the inline script that starts the page, so that no other inline script may run."""
    script = content.rpartition(b"<script>")[2].partition(b"</script>")[0]
    return f"'sha256-{b64encode(sha256(script).digest()).decode()}'"
