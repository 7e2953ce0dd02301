"""Stopping under load: every request sent before the stop is answered."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.service.process.wire.raw import ENDLESS, JSON, ROOM, ROUTE, UNHURRIED, Wire, get, head, post, wire
from tests.service.serving import ROOT, TIMEOUT, Service, children, serving, until

LONG = b'{"inputs": [%b], "samples": 20000}' % b",".join([b"[1, 2, 3]"] * 100)


@contextmanager
def connected(service: Service, count: int) -> Iterator[list[Wire]]:
    with ExitStack() as stack:
        yield [stack.enter_context(wire(service)) for _ in range(count)]


def told(service: Service) -> tuple[int, str, list[str]]:
    """Return the exit code, the output, and the messages of the log other than of requests and the stop."""
    out, _ = service.process.communicate(timeout=TIMEOUT)
    events = [line["message"] for line in service.events() if line["event"] not in ("request", "drain")]
    return service.process.returncode, out, events


@pytest.fixture(params=["1", "2"])
def busy(request: pytest.FixtureRequest, bundles: Path) -> Iterator[Service]:
    with serving(bundles, "--workers", request.param, *UNHURRIED) as service:
        yield service


def test_every_request_sent_before_a_stop_is_answered(busy: Service) -> None:
    """On kept connections, on new ones, and on connections that are not accepted yet."""
    with connected(busy, 20) as kept, connected(busy, 100) as fresh:
        for client in kept:
            client.send(post())
            assert client.answer().status == 200
        for number, client in enumerate(kept + fresh):
            client.send(post(LONG) if number % 10 == 0 else post())
        busy.process.send_signal(signal.SIGTERM)
        assert {client.answer().status for client in kept + fresh} <= {200, 503}
        assert all(client.closed() for client in kept + fresh)
    assert told(busy) == (0, "", [])


def test_clients_that_keep_sending_are_refused_and_then_not_connected(busy: Service) -> None:
    outcomes: Counter[str] = Counter()
    running = threading.Event()
    running.set()

    def ask() -> None:
        while running.is_set():
            try:
                with wire(busy) as client:
                    client.send(post())
                    answer = client.answer_or_end()
                    outcomes[str(answer and answer.status)] += 1
            except ConnectionRefusedError:
                return
            except OSError as error:  # the service closed as the client connected
                outcomes[type(error).__name__] += 1

    clients = [threading.Thread(target=ask) for _ in range(4)]
    with connected(busy, 16) as endless:  # so that each worker goes on until the refusals are seen
        for client in endless:
            client.send(ENDLESS)
        until(lambda: busy.admitted() == 16)
        for thread in clients:
            thread.start()
        until(lambda: outcomes["200"] > 10)
        busy.process.send_signal(signal.SIGTERM)
        until(lambda: outcomes["503"] > 0)
    for thread in clients:
        thread.join(TIMEOUT)
    running.clear()
    assert told(busy) == (0, "", [])
    assert outcomes["200"] > 10
    assert outcomes["503"] > 0
    # A client that connects just as the service ends may be cut off; here, one at most.
    assert sum(outcomes.values()) - outcomes["200"] - outcomes["503"] <= 4


def test_idle_connections_are_closed_at_once(busy: Service) -> None:
    with connected(busy, 5) as idle:
        idle[0].send(get("/health/live"))
        assert idle[0].answer().status == 200
        busy.process.send_signal(signal.SIGTERM)
        assert all(client.closed() for client in idle)  # long before the 600 s that a client may take
    assert told(busy) == (0, "", [])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_without_an_answer_within_the_time_to_drain_are_cut_off(bundles: Path, workers: str) -> None:
    flags = ("--workers", workers, "--timeout", "600", "--client-timeout", "600", "--drain", "1", *ROOM)
    with serving(bundles, *flags) as service, wire(service) as working, wire(service) as slow:
        working.send(ENDLESS)
        slow.send(head(JSON, "Content-Length: 100") + b"{")
        until(lambda: service.admitted() == 1)
        service.process.send_signal(signal.SIGTERM)
        assert working.closed()
        assert slow.closed()
        code, _, messages = told(service)
    assert code == 0
    assert {message.partition(":")[0] for message in messages} == {
        "connections cut off without an answer within 1 s (--drain)"
    }


def test_a_second_signal_stops_at_once(busy: Service) -> None:
    with wire(busy) as working:
        working.send(ENDLESS)
        until(lambda: busy.admitted() == 1)
        processes = children(busy.process.pid) or [busy.process.pid]
        busy.process.send_signal(signal.SIGTERM)
        until(lambda: len(busy.events("drain")) == len(processes))
        busy.process.send_signal(signal.SIGTERM)
        assert working.closed()
        code, _, messages = told(busy)
    assert code == 0
    assert messages == ["connections cut off without an answer when told to stop at once: 1"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_counts_as_one(bundles: Path, sign: signal.Signals) -> None:
    flags = ("--workers", "2", *UNHURRIED)
    with serving(bundles, *flags, before=["setsid"]) as service, wire(service) as working:
        working.send(post(LONG.replace(b"20000", b"200000"), path=ROUTE))
        until(lambda: service.admitted() == 1)
        everyone = [service.process.pid, *children(service.process.pid)]
        if sign == signal.SIGINT:
            os.killpg(service.process.pid, sign)  # as a terminal does
        else:
            for pid in everyone:  # as systemd does
                os.kill(pid, sign)
        assert working.answer().status == 200
        code, _, messages = told(service)
    assert (code, messages) == (0, [])


def test_the_service_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = '"$@" & echo $!; read -r _'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "caveat", "serve", "--port", "0"]
    with (
        said.open("w") as file,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.DEVNULL
        ) as starter,
    ):
        until(lambda: " at " in said.read_text())
        starter.communicate(b"\n")  # ends the starter
    pid, line = said.read_text().splitlines()
    time.sleep(0.5)  # in which it would end
    url = line.rpartition(" at ")[2].partition(",")[0]
    assert httpx.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 200
    os.kill(int(pid), signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists())
