"""The page at /docs: Swagger UI from local files, so that the page renders without internet access."""

from base64 import b64encode
from hashlib import sha256
from importlib.util import find_spec
from mimetypes import guess_type
from pathlib import Path

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from caveat.service.content.headers import of_page

ASSETS = "/docs/assets"


async def page() -> HTMLResponse:
    """Serve the page that shows every route, with examples to try out."""
    shown = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Caveat",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
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


def _starting(content: bytes) -> str:
    """Hash the inline script that starts the page, so that no other inline script may run."""
    script = content.rpartition(b"<script>")[2].partition(b"</script>")[0]
    return f"'sha256-{b64encode(sha256(script).digest()).decode()}'"


async def from_root() -> RedirectResponse:
    """Redirect a browser from the root to the page."""
    return RedirectResponse("/docs")


async def asset(name: str) -> Response:
    """Serve a file of Swagger UI; the package that holds the files is located without importing it."""
    package = find_spec("fastapi_offline")
    assert package is not None
    assert package.origin is not None
    there = {path.name: path for path in (Path(package.origin).parent / "static").iterdir()}
    if name not in there:  # a name from a client never becomes a path
        raise HTTPException(404)
    return Response(there[name].read_bytes(), media_type=guess_type(name)[0])
