"""Timeouts of slow clients, which must not delay other clients."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.service.process.wire.raw import JSON, ROOM, ROUTE, files, get, head, post, talk, wire
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


def test_connections_beyond_the_limit_of_open_files_are_refused(bundles: Path) -> None:
    """Once there is room again, new connections are served."""
    few = ("sh", "-c", 'ulimit -n 200; exec "$@"', "sh")
    with serving(bundles, "--client-timeout", "600", before=few) as service:
        address = (service.client.base_url.host, service.client.base_url.port)
        before = files(service.process.pid)
        crowd = [socket.create_connection(address) for _ in range(300)]
        with wire(service) as client:  # whose turn comes after the crowd's
            assert client.answer().status == 503
            assert client.closed()
        for connection in crowd:
            connection.close()
        until(lambda: files(service.process.pid) <= before + 5)
        assert talk(service, post(path=ROUTE)).status == 200
        assert talk(service, get("/docs/assets/favicon.png")).status == 200
