"""Every answer has the id of its request, whichever part of the service wrote it."""

import re
import socket

import httpx
import pytest

from caveat.service.rest import request_id
from tests.service.serving import Service

POINT = b'{"inputs": [[1, 2, 3]]}'
ROUTES = [
    ("POST", "/models/linear/predict", POINT, 200),
    ("POST", "/models/linear/predict/uncertainty", POINT, 200),
    ("POST", "/models/linear/predict", b"{", 400),
    ("POST", "/models/linear/predict", b'{"inputs": [[1]]}', 422),
    ("POST", "/models/none/predict", POINT, 404),
    ("GET", "/predict", b"", 405),
    ("GET", "/models", b"", 200),
    ("GET", "/models/none", b"", 404),
    ("GET", "/models/tabular/versions/X", b"", 422),
    ("GET", "/nothing", b"", 404),
    ("GET", "/docs", b"", 200),
    ("HEAD", "/health/ready", b"", 200),
    ("GET", "/metrics", b"", 200),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), ROUTES)
def test_the_id_of_a_request_comes_back(
    service: Service, method: str, path: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json", "X-Request-ID": "order-66.a_Z"}
    response = service.client.request(method, path, content=body, headers=headers)
    assert response.status_code == status
    assert response.headers.get_list("X-Request-Id") == ["order-66.a_Z"]
    if status >= 400:
        assert response.json()["request_id"] == "order-66.a_Z"


@pytest.mark.parametrize("given", [None, "", "a b", "ü", "a" * 129, 'a"b', "a,b", "../a"])
def test_an_id_is_made_where_there_is_no_valid_one(service: Service, given: str | None) -> None:
    headers = {} if given is None else {b"X-Request-Id": given.encode()}
    made = {service.client.get("/nothing", headers=headers).headers["X-Request-Id"] for _ in range(5)}
    assert len(made) == 5
    assert all(re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", each) for each in made)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"what?\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nX-Request-Id: mine\r\nContent-Length: x\r\n\r\n", "mine"),
        (b"GET / HTTP/1.1\r\nX-Request-Id: not mine\r\nContent-Length: x\r\n\r\n", None),
    ],
)
def test_invalid_http_gets_an_id(service: Service, data: bytes, expected: str | None) -> None:
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80)) as client:
        client.sendall(data)
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    found = re.search(rb"(?i)\r\nx-request-id: (\S+)", head)
    assert found is not None
    assert b'"request_id":"%b"' % found[1] in body
    if expected is None:
        assert re.fullmatch(b"[0-9a-f]{16}-[0-9a-f]+", found[1])
    else:
        assert found[1].decode() == expected


@pytest.mark.parametrize("line", [b"X-Request-Id: a1", b"x-request-id:a1", b"X-REQUEST-ID:  a1\t"])
def test_an_id_is_cut_out_of_a_head(line: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n%bHost: here\r\n"
    assert request_id.cut_out(head % (line + b"\r\n")) == ("a1", head % b"")


@pytest.mark.parametrize(
    "line", [b"", b"X-Request-Id: a 1\r\n", b"X-Request-Id:\r\n", b"Y-X-Request-Id: a1\r\n"]
)
def test_other_headers_stay_in_the_head(line: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n%bHost: here\r\n" % line
    name, rest = request_id.cut_out(head)
    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", name)
    assert rest == head
