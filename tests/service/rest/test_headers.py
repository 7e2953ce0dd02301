"""Security headers of answers, and headers that answers must not have."""

import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.service.serving import Service, serving

PAGES = ["/docs", "/models/digits/card"]


@pytest.fixture(scope="module")
def digits() -> Iterator[Service]:
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/docs", 200),
        ("GET", "/docs/assets/swagger-ui.css", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nothing", 404),
        ("POST", "/predict", 200),
        ("POST", "/predict/uncertainty", 200),
        ("PUT", "/predict", 405),
    ],
)
def test_answers_forbid_sniffing_and_name_no_server(
    service: Service, method: str, path: str, status: int
) -> None:
    body = {"inputs": [{"age": 61, "smoker": "no", "dose": 2}]} if method == "POST" else None
    answer = service.client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers


def test_answers_to_invalid_http_forbid_sniffing_and_name_no_server(service: Service) -> None:
    address = (service.client.base_url.host, service.client.base_url.port)
    with socket.create_connection(address) as connection:
        connection.sendall(b"junk\r\n\r\n")
        answer = connection.recv(4096).lower()
    assert answer.startswith(b"http/1.1 400 bad request\r\n")
    assert b"\r\nx-content-type-options: nosniff\r\n" in answer
    assert b"\r\nserver:" not in answer


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_nothing_from_other_hosts_and_can_not_be_framed(digits: Service, path: str) -> None:
    page = digits.get(path)
    parts = (part.partition(" ") for part in page.headers["content-security-policy"].split("; "))
    policy = {name: sources for name, _, sources in parts}
    assert ("sandbox" in policy) == path.endswith("card")
    assert not policy.pop("sandbox", "")  # allows nothing
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy.pop(name) == "'none'"
    sources = {source for sources in policy.values() for source in sources.split()}
    assert not {source for source in sources if not source.startswith(("'", "data:"))}
    assert "'unsafe-inline'" not in policy.get("script-src", "")
    assert page.headers["referrer-policy"] == "no-referrer"


def test_only_the_one_inline_script_of_the_page_may_run(digits: Service) -> None:
    page = digits.get("/docs")
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/predict/uncertainty", "/models", "/health/live"])
def test_requests_from_other_sites_get_no_cors_headers(service: Service, path: str) -> None:
    asking = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    preflight = service.client.options(path, headers=asking)
    assert preflight.status_code == 405
    for answer in (preflight, service.client.get(path, headers=asking)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_forms_of_other_sites_are_refused(service: Service) -> None:
    """Browsers send these types to other sites without a preflight request."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert service.send("/predict", b'{"inputs": []}', kind).status_code == 415


def test_an_upgrade_to_websockets_is_ignored(service: Service) -> None:
    asking = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert service.client.get("/models", headers=asking).status_code == 200
