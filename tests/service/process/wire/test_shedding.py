import random
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httptools
import pytest

from caveat.service.desk.desk import Desk
from caveat.service.process.wire import framing
from caveat.service.process.wire.shedding import Shedding
from caveat.service.rest.routes import find_verb
from caveat.service.settings import Settings
from tests.service.process.wire.raw import ENDLESS, UNHURRIED, Wire, post, talk, wire
from tests.service.serving import TIMEOUT, Service, serving, until

ROUTE = "/models/linear/predict/uncertainty"
BODY = b'{"inputs": [[1, 2, 3]]}'
LONG = post(b'{"inputs": [%b], "samples": 400000}' % b",".join([b"[1, 2, 3]"] * 100))


def request(path: str = ROUTE, method: str = "POST", body: bytes = BODY, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: here", "Content-Type: application/json", *headers]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def unread(data: bytes) -> int | None:
    desk = Desk(Settings(store=None, max_bytes=100))
    recognised = Shedding(desk.settings, desk.admission, desk.reports).recognised(data)
    return recognised and recognised.unread


@pytest.mark.parametrize(
    "data",
    [
        request(),
        request("/predict"),
        request("/predict/uncertainty?samples=5"),
        request("/models/linear/versions/1/predict"),
        request(ROUTE, "POST", BODY, "Connection: keep-alive", "Accept: */*"),
        request().replace(b"Content-Length", b"CONTENT-length"),
    ],
)
def test_an_ordinary_request_is_recognised(data: bytes) -> None:
    assert unread(data) == 0
    assert unread(data[:-5]) == 5
    assert unread(data[: data.index(b"{")]) == len(BODY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"POST",
        request()[:30],
        request() + b"P",
        request("/models"),
        request("/health/live"),
        request(method="GET"),
        request(body=b" " * 101),
        request(ROUTE, "POST", BODY, "Transfer-Encoding: chunked"),
        request(ROUTE, "POST", BODY, "Expect: 100-continue"),
        request(ROUTE, "POST", BODY, "Connection: close"),
        request(ROUTE, "POST", BODY, "Upgrade: h2c"),
        request(ROUTE, "POST", BODY, "Content-Length: 3"),
        request(ROUTE, "POST", BODY, "X: " + "x" * 2000),
        request().replace(b"Content-Length: 23\r\n", b""),
        request().replace(b"Content-Length: 23", b"Content-Length: -1"),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request(ROUTE, "POST", BODY, "Connection:\tclose"),
        request(ROUTE, "POST", BODY, "Connection: keep-alive, close"),
        request(ROUTE, "POST", BODY, "Host: there"),
        request(ROUTE, "POST", BODY, "X-Request-Id: a", "X-Request-Id: b"),
        request(ROUTE, "POST", BODY, "no colon"),
        request(ROUTE, "POST", BODY, "X: a\0b"),
        request(ROUTE, "POST", BODY, "X: a\nY: b"),
        request(ROUTE, "POST", BODY, "X: a\rY: b"),
        request(ROUTE, "POST", BODY, " X: folded"),
        request().replace(b"/predict", b"/pred\xffict"),
    ],
)
def test_other_requests_are_not_recognised(data: bytes) -> None:
    assert unread(data) is None


class Parsed:
    """A request as the parser reads it."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = self.body = b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        framing.length(self.headers, self.parser.get_http_version())

    def on_body(self, body: bytes) -> None:
        self.body += body


PIECES = [
    *(bytes([byte]) for byte in b'\r\n\0\t :;?#%@*+-0"<\\{^`\x01\x0b\x7f\xff'),
    *(b"\r\n", b"HTTP/1.0", b"://", b"%zz", b"a\r\n", b"X:\r\n", b" b: c\r\n", b"x y: z\r\n"),
    *(b"Connection: close\r\n", b"Connection:\tclose\r\n", b"Upgrade: x\r\n", b"Host: b\r\n"),
    *(b"Content-Length: 23\r\n", b"Content-Length:\t7 \r\n", b"Transfer-Encoding: chunked\r\n"),
]


def test_what_is_recognised_is_what_the_parser_reads() -> None:
    chance = random.Random(0)
    desk = Desk(Settings(store=None))
    shedding = Shedding(desk.settings, desk.admission, desk.reports)
    whole = request("/predict?samples=5", "POST", BODY, "X-Request-Id: a1")
    lines = [place.end() for place in re.finditer(rb"\r\n", whole)]
    count = 0
    for _ in range(30_000):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 3))):
            place = chance.choice((chance.randrange(len(whole)), chance.choice(lines)))
            data[place : place + chance.choice((0, 0, 1, 2))] = chance.choice(PIECES)
        recognised = shedding.recognised(bytes(data))
        if recognised is None:
            continue
        count += 1
        parsed = Parsed(bytes(data))
        assert find_verb(httptools.parse_url(parsed.url).path.decode())
        assert parsed.parser.get_method() == b"POST"
        assert parsed.parser.should_keep_alive()
        assert len(parsed.body) + recognised.unread == int(dict(parsed.headers)[b"content-length"])
    assert count > 1000


def test_a_full_service_refuses_a_wrong_head_as_an_idle_one_does(bundles: Path) -> None:
    wrong = [
        request(ROUTE, "POST", BODY, header) for header in ("no colon", "X: a\0b", "X: a\nY: b", "X: a\rY: b")
    ]
    wrong.append(request().replace(b"\r\n", b"\n"))
    with serving(bundles) as idle:
        expected = [talk(idle, data).status for data in wrong]
    assert expected == [400] * len(wrong)
    with full(bundles) as (service, _):
        for data in wrong:
            with wire(service) as client:
                client.send(data)
                assert client.answer().status == 400
                assert client.closed()


@contextmanager
def full(bundles: Path, taker: bytes = ENDLESS) -> Iterator[tuple[Service, Wire]]:
    """Serve with room for one request, which a long request takes."""
    with serving(bundles, "--max-pending", "1", *UNHURRIED) as service, wire(service) as taken:
        taken.send(taker)
        until(lambda: service.admitted() == 1)
        assert service.ask(ROUTE, inputs=[[1, 2, 3]]).status_code == 429
        yield service, taken


def connected(service: Service, count: int) -> list[socket.socket]:
    address = (service.client.base_url.host, service.client.base_url.port)
    return [socket.create_connection(address, TIMEOUT) for _ in range(count)]


def answer(connection: socket.socket) -> bytes:
    data = b""
    while b"}" not in data:
        received = connection.recv(4096)
        assert received, "the connection was closed"
        data += received
    return data


def test_a_refused_request_leaves_its_connection_usable(bundles: Path) -> None:
    with full(bundles) as (service, taken), ThreadPoolExecutor(1) as clients:
        with connected(service, 1)[0] as connection:
            for cut in (0, 5, request().index(b"{"), len(request())):  # whole, or in two pieces
                connection.sendall(request()[:cut])
                time.sleep(0.05)
                connection.sendall(request()[cut:])
                refused = answer(connection)
                assert refused.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
                assert b"retry-after: 1\r\n" in refused.lower()
                assert b"application/problem+json" in refused
                assert b"1 request is waiting already" in refused
            taken.close()
            until(lambda: service.admitted() == 0)
            long = clients.submit(service.ask, ROUTE, inputs=[[1, 2, 3]] * 100, samples=400_000)
            until(lambda: service.admitted() == 1 or long.done())
            while not long.done():  # a refusal keeps a connection open as an answer does
                connection.sendall(request())
                answer(connection)
                time.sleep(0.1)
            assert long.result().status_code == 200
            connection.sendall(request())
            assert answer(connection).startswith(b"HTTP/1.1 200 OK\r\n")
        metrics = service.get("/metrics").text
        counted = re.findall(r'^caveat_requests_total{code="429",.*} (\S+)$', metrics, re.MULTILINE)
        assert sum(map(float, counted)) >= 5


def test_health_is_answered_by_a_full_service(bundles: Path) -> None:
    with full(bundles) as (service, _):
        assert service.get("/health/live").status_code == 200
        assert service.admitted() == 1


def test_a_crowd_is_deferred_and_every_request_refused(bundles: Path) -> None:
    with full(bundles) as (service, _):
        crowd = connected(service, 600)
        start = time.perf_counter()
        for connection in crowd:
            connection.sendall(request())
        assert all(answer(connection).startswith(b"HTTP/1.1 429 ") for connection in crowd)
        assert time.perf_counter() - start > 0.7  # 200 are refused at once, the others by and by
        assert service.admitted() == 1
        for connection in crowd:  # each is as good as before
            connection.sendall(request())
        assert all(answer(connection).startswith(b"HTTP/1.1 429 ") for connection in crowd)
        for connection in crowd:
            connection.close()


def test_a_deferred_request_behind_the_rest_of_a_refused_one_keeps_its_turn(bundles: Path) -> None:
    """The rest of the refused one is read slowly, and what follows waits for the deferred one."""
    first = request(ROUTE, "POST", b"x" * 200_000, "X-Request-Id: first")
    second, third = (request(ROUTE, "POST", BODY, f"X-Request-Id: {name}") for name in ("second", "third"))
    with full(bundles) as (service, _):
        crowd = connected(service, 500)
        for connection in crowd:
            connection.sendall(first[:1000])
        for connection in crowd:
            assert answer(connection).startswith(b"HTTP/1.1 429 ")
        for connection in crowd:
            connection.sendall(first[1000:] + second)
        time.sleep(0.1)  # until the rest is read
        for connection in crowd:
            connection.sendall(third)
        for connection in crowd:
            answers = answer(connection)
            while answers.count(b"HTTP/1.1 429 ") < 2:
                answers += answer(connection)
            assert re.findall(rb'"request_id":"(\w+)"', answers) == [b"second", b"third"]
            connection.close()


def test_deferred_requests_are_answered_before_the_service_ends(bundles: Path) -> None:
    with full(bundles, LONG) as (service, taken):
        crowd = connected(service, 1000)
        for connection in crowd:
            connection.sendall(request())
        assert answer(crowd[0]).startswith(b"HTTP/1.1 ")
        service.process.send_signal(signal.SIGTERM)
        assert all(answer(connection).startswith(b"HTTP/1.1 ") for connection in crowd[1:])
        assert taken.answer().status == 200
        assert service.process.wait(TIMEOUT) == 0
        for connection in crowd:
            connection.close()
