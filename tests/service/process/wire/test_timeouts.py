"""Timeouts of slow clients, which must not delay other clients."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.service.process.wire.raw import (
    ENDLESS,
    JSON,
    ROOM,
    ROUTE,
    UNHURRIED,
    files,
    get,
    head,
    post,
    talk,
    wire,
)
from tests.service.serving import TIMEOUT, Service, serving, until


@pytest.fixture(scope="module")
def hurried(bundles: Path) -> Iterator[Service]:
    with serving(bundles, "--client-timeout", "1", "--timeout", "600", *ROOM) as service:
        yield service


@pytest.mark.parametrize(
    "begun",
    [
        b"P",
        post()[:20],
        head(JSON, "Content-Length: 100")[:-2],
        head(JSON, "Content-Length: 100"),
        head(JSON, "Content-Length: 100") + b"{",
        head(JSON, "Transfer-Encoding: chunked") + b"5\r\n{",
        head(JSON, "Content-Length: 100", "Expect: 100-continue"),
    ],
)
def test_a_request_that_does_not_arrive_in_time_is_refused(hurried: Service, begun: bytes) -> None:
    with wire(hurried) as client:
        client.send(begun)
        answer = client.answer()
        if answer.status == 100:
            answer = client.answer()
        assert answer.status == 408
        assert "the request did not arrive in time" in answer.problem["detail"]
        assert client.closed()


@pytest.mark.parametrize("before", [b"", get("/health/live")])
@pytest.mark.parametrize("drop", [post(), b"\r\n" * 1000])
def test_a_request_that_trickles_in_is_refused(hurried: Service, before: bytes, drop: bytes) -> None:
    with wire(hurried) as client:
        if before:
            client.send(before)
            assert client.answer().status == 200
        end = time.monotonic() + TIMEOUT
        client.socket.settimeout(0.1)
        for byte in drop:
            client.send(bytes([byte]))
            try:
                if client.socket.recv(1, socket.MSG_PEEK) is not None:
                    break
            except TimeoutError:
                assert time.monotonic() < end
        client.socket.settimeout(TIMEOUT)
        answer = client.answer_or_end()
        assert answer is None or answer.status == 408


def test_an_idle_connection_is_closed(hurried: Service) -> None:
    with wire(hurried) as client:
        assert client.closed()


def test_a_client_that_does_not_read_its_answer_is_cut_off(hurried: Service) -> None:
    """Its further requests stay unread meanwhile."""
    body = json.dumps({"inputs": [[1, 2, 3]] * 4096, "samples": 2}).encode()
    before, open_before = hurried.resident(), files(hurried.process.pid)
    with wire(hurried, seconds=0.2) as client:
        for _ in range(40):
            client.send(post(body))
        until(lambda: files(hurried.process.pid) <= open_before)
        assert hurried.resident() - before < 60e6
        client.socket.settimeout(TIMEOUT)
        taken = 0
        with suppress(ConnectionResetError):
            while received := client.socket.recv(2**20):
                taken += len(received)
        assert taken < 20 * 400_000


def test_waiting_for_an_answer_has_no_client_timeout(hurried: Service) -> None:
    body = json.dumps({"inputs": [[1, 2, 3]] * 100, "samples": 500_000}).encode()
    assert talk(hurried, post(body)).status == 200


def test_a_refused_client_that_keeps_sending_is_cut_off(hurried: Service) -> None:
    with wire(hurried) as client:
        client.send(head(JSON, f"Content-Length: {10**12}"))
        assert client.answer().status == 413
        end = time.monotonic() + TIMEOUT
        with suppress(ConnectionError):
            while True:
                client.socket.sendall(b" " * 1000)
                assert time.monotonic() < end
                time.sleep(0.01)


@pytest.mark.parametrize("refused", [b"no HTTP\r\n\r\n", head(JSON, f"Content-Length: {10**12}")])
def test_what_nobody_needs_is_read_slowly(hurried: Service, refused: bytes) -> None:
    """At full speed it would take the event loop's time; a client can send 1 GB in a second."""
    sent, block = 0, bytes(2**18)
    with wire(hurried) as client:
        client.send(refused)
        with suppress(ConnectionError):
            while True:
                sent += client.socket.send(block)
    assert sent < 3e8


def test_a_half_closed_connection_counts_as_closed(hurried: Service) -> None:
    """The service treats a client that closes its sending half as gone."""
    for data in (b"", post()[:50], post()):
        with wire(hurried) as client:
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
            answer = client.answer_or_end()
            assert answer is None or answer.status == 200
    assert talk(hurried, post()).status == 200


@pytest.mark.parametrize("sent", [b"", post()[:50], head(JSON, "Content-Length: 100") + b"{"])
def test_thousands_of_waiting_connections_do_not_block_others(hurried: Service, sent: bytes) -> None:
    before = files(hurried.process.pid)
    address = (hurried.client.base_url.host, hurried.client.base_url.port)
    crowd = [socket.create_connection(address) for _ in range(1000)]
    for connection in crowd:
        connection.sendall(sent)
    for _ in range(5):
        assert talk(hurried, post()).status == 200
    until(lambda: files(hurried.process.pid) <= before + 5)
    for connection in crowd:
        connection.close()


FEW = ("sh", "-c", 'ulimit -n 200; exec "$@"', "sh")
"""Leaves a service files for 72 connections."""


@pytest.mark.parametrize(
    "sent", [b"", get("/health/live"), post()[:50], head(JSON, "Content-Length: 9") + b"{"]
)
def test_the_newest_connection_takes_the_place_of_the_oldest_that_waits_for_no_answer(
    bundles: Path, sent: bytes
) -> None:
    with serving(bundles, "--client-timeout", "600", before=FEW) as service:
        address = (service.client.base_url.host, service.client.base_url.port)
        before = files(service.process.pid)
        crowd = []
        for _ in range(300):
            crowd.append(socket.create_connection(address))
            crowd[-1].sendall(sent)
            crowd[-1].settimeout(TIMEOUT)
        assert talk(service, post(path=ROUTE)).status == 200
        assert files(service.process.pid) < 200
        with suppress(ConnectionResetError):
            answer = b"".join(iter(lambda: crowd[0].recv(2**16), b""))
            assert answer[:12] in (b"", b"HTTP/1.1 200" if b"live" in sent else b"HTTP/1.1 503")
        for connection in crowd:
            connection.close()
        until(lambda: files(service.process.pid) <= before + 5)
        assert talk(service, get("/docs/assets/favicon.png")).status == 200


def test_a_connection_beyond_those_that_wait_for_answers_is_refused(bundles: Path) -> None:
    """Once there is room again, new connections are served."""
    with serving(bundles, *UNHURRIED, before=FEW) as service:
        before = files(service.process.pid)
        with ExitStack() as crowd:

            def refused() -> bool:
                client = crowd.enter_context(wire(service))
                client.send(ENDLESS)
                if not select.select([client.socket], [], [], 0.2)[0]:
                    return False
                return client.answer().status == 503 and client.closed()

            until(refused)
        until(lambda: files(service.process.pid) <= before + 5)
        assert talk(service, post(path=ROUTE)).status == 200
