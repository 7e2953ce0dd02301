"""The documentation: the OpenAPI document, and the page that shows it.

The page has Swagger UI from local files, so that it renders without internet access, and its links are
relative, so that it works below any path.
"""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from mimetypes import guess_type
from pathlib import Path

import orjson
from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

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
        self._document: tuple[Manifest | None, bytes] = (None, b"")
        self._page, self._page_headers = _page()

    async def openapi(self, request: Request) -> Response:
        """Write the OpenAPI document; its bytes are kept until the model in its examples changes."""
        catalogue, settings = self._desk.catalogue, self._desk.settings
        shown = openapi.shown(catalogue)
        if self._document[0] is not shown:
            document = openapi.document(
                request.app.routes, catalogue, self._uncertainty_request, settings.max_rows
            )
            openapi.tell_of_keys(document, settings)
            openapi.tell_of_ids(document)
            self._document = (shown, orjson.dumps(document))
        content = self._document[1]
        if root := request.scope.get("root_path", ""):
            content = b'%b,"servers":%b}' % (content[:-1], orjson.dumps([{"url": root}]))
        return Response(content, media_type="application/json")

    async def docs(self) -> HTMLResponse:
        """Serve the page that shows every route, with examples to try out."""
        return HTMLResponse(self._page, headers=self._page_headers)

    async def root(self, request: Request) -> RedirectResponse:
        """Redirect a browser from the root to the page."""
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    async def asset(self, asset: str) -> Response:
        """Serve a file of Swagger UI."""
        if asset not in _assets():  # a name from a client never becomes a path
            raise HTTPException(404)
        return Response(_assets()[asset], media_type=guess_type(asset)[0])


@cache
def _assets() -> Mapping[str, bytes]:
    """Read the files of Swagger UI; the package that holds them is located without importing it."""
    package = find_spec("fastapi_offline")
    assert package is not None
    assert package.origin is not None
    return {path.name: path.read_bytes() for path in (Path(package.origin).parent / "static").iterdir()}


def _page() -> tuple[bytes, Mapping[str, str]]:
    """Write the page and its headers."""
    assets = ASSETS.removeprefix("/")
    content = bytes(
        get_swagger_ui_html(
            openapi_url="openapi.json",
            title="Caveat",
            swagger_js_url=f"{assets}/swagger-ui-bundle.js",
            swagger_css_url=f"{assets}/swagger-ui.css",
            swagger_favicon_url=f"{assets}/favicon.png",
            swagger_ui_parameters={"defaultModelsExpandDepth": 0, "displayRequestDuration": True},
        ).body
    )
    headers = of_page(
        script_src=f"'self' {_starting(content)}",
        style_src="'self' 'unsafe-inline'",  # Swagger UI writes styles of its own
        img_src="'self' data:",
        connect_src="'self'",
    )
    return content, headers


def _starting(content: bytes) -> str:
    """Hash the inline script that starts the page, so that no other inline script may run."""
    script = content.rpartition(b"<script>")[2].partition(b"</script>")[0]
    return f"'sha256-{b64encode(sha256(script).digest()).decode()}'"
