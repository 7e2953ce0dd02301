"""Many clients at once, over HTTP: bits, fairness, overload, deadlines, clients that leave, the end."""

import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.serving import Service, serving, until

POINT = [1, 2, 3]
LONG = {"inputs": [POINT] * 100, "samples": 1000}
ROUTE = "/models/linear/predict/uncertainty"


def points(rows: int, seed: int = 0) -> list[list[float]]:
    made: list[list[float]] = np.random.default_rng(seed).uniform(-2, 2, (rows, 3)).round(3).tolist()
    return made


BODIES = st.fixed_dictionaries(
    {"inputs": st.builds(points, rows=st.integers(1, 60), seed=st.integers(0, 3))},
    optional={
        "samples": st.integers(2, 300),
        "seed": st.integers(0, 2),
        "sampler": st.sampled_from(["stratified", "independent"]),
        "tolerance": st.sampled_from([0.1, 1.0]),
    },
)


@given(bodies=st.lists(BODIES, min_size=2, max_size=16))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_answer_under_load_has_the_bytes_that_it_has_alone(
    service: Service, bodies: list[dict[str, Any]]
) -> None:
    alone = [service.ask(ROUTE, **body).content for body in bodies]
    with ThreadPoolExecutor(len(bodies)) as clients:
        together = list(clients.map(lambda body: service.ask(ROUTE, **body).content, bodies))
    assert together == alone


def test_health_and_small_requests_are_answered_while_a_long_one_runs(bundles: Path) -> None:
    limits = ("--max-samples", "500000", "--max-pending-passes", "100000000")
    with serving(bundles, *limits) as service, ThreadPoolExecutor(1) as clients:
        service.get("/health/live")
        long = clients.submit(service.ask, ROUTE, inputs=[POINT] * 100, samples=500_000)
        for _ in range(20):
            assert service.get("/health/live").status_code == 200
            assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
        assert not long.done()
        assert long.result().status_code == 200


def test_what_is_too_much_is_told_at_once_and_what_was_let_in_is_answered(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "4", "--max-samples", "100000") as service:
        body = LONG | {"samples": 20_000}
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda _: service.ask(ROUTE, **body), range(16)))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 429}
        assert codes.count(200) >= 4
        for answer in answers:
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == "1"
                assert "4 requests are waiting already" in answer.json()["detail"]
        assert service.ask(ROUTE, inputs=[POINT]).status_code == 200  # all places are free again


def test_work_and_bytes_that_wait_are_bounded(bundles: Path) -> None:
    limits = ("--max-pending-passes", "3000000", "--max-samples", "100000", "--max-bytes", "200000")
    with serving(bundles, *limits) as service:
        heavy = {"inputs": [POINT] * 100, "samples": 20_000}
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(lambda _: service.ask(ROUTE, **heavy), range(6)))
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert "passes over rows are waiting already" in refused.json()["detail"]
        alone = service.ask(ROUTE, **heavy | {"samples": 40_000})
        assert alone.status_code == 200

        # Four bodies of the largest size may be on their way; a fifth may not, but for a small one.
        large = json.dumps({"inputs": [POINT]}).encode().ljust(200_000)
        promised = [connection(service, length=200_000, sent=b"{") for _ in range(10)]
        assert service.send(ROUTE, large).status_code == 200
        slow = [connection(service, length=200_000, sent=b" " * 199_990) for _ in range(4)]
        time.sleep(1)  # until all of it is there
        assert "bytes of requests are waiting" in service.send(ROUTE, large).text
        assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
        for client in slow + promised:
            client.close()
        until(lambda: service.send(ROUTE, large).status_code == 200, seconds=10)


def test_who_sends_slowly_takes_nobodys_place(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "2") as service:
        slow = [connection(service, length=100, sent=b"{") for _ in range(20)]
        time.sleep(0.2)
        for _ in range(5):
            assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
        for client in slow:
            client.close()


def test_what_takes_too_long_ends_with_504_and_leaves_its_place(bundles: Path) -> None:
    with serving(bundles, "--timeout", "2", "--max-samples", "10000000") as service:
        answer = service.ask(ROUTE, inputs=[POINT] * 100, samples=10_000_000)
        assert answer.status_code == 504
        assert "no answer in time" in answer.json()["detail"]
        assert service.ask(ROUTE, inputs=[POINT]).status_code == 200


def test_a_client_that_leaves_frees_its_place(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "1", "--max-samples", "10000000") as service:
        body = json.dumps({"inputs": [POINT] * 100, "samples": 10_000_000}).encode()
        client = connection(service, len(body), body)
        until(lambda: service.ask(ROUTE, inputs=[POINT]).status_code == 429, seconds=10)
        client.close()
        until(lambda: service.ask(ROUTE, inputs=[POINT]).status_code == 200, seconds=10)


def test_who_leaves_does_not_hurt_who_stays(bundles: Path) -> None:
    with serving(bundles) as service:
        body = {"inputs": [POINT] * 20, "samples": 10_000}
        alone = service.ask(ROUTE, **body).content
        raw = json.dumps(body).encode()
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(service.ask, ROUTE, **body) for _ in range(8)]
            for _ in range(20):
                connection(service, len(raw), raw).close()
            assert {answer.result().content for answer in asked} == {alone}


def test_told_to_stop_it_answers_whom_it_let_in_and_nobody_else(bundles: Path) -> None:
    with serving(bundles, "--max-samples", "400000") as service, ThreadPoolExecutor(1) as clients:
        service.get("/health/ready")
        asked = clients.submit(service.ask, ROUTE, inputs=[POINT] * 100, samples=400_000)
        time.sleep(0.3)
        assert not asked.done()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        for answer in (service.ask(ROUTE, inputs=[POINT]), service.get("/health/ready")):
            assert answer.status_code == 503
            assert "shutting down" in answer.json()["detail"]
        assert service.get("/health/live").status_code == 200
        assert not asked.done()
        assert asked.result().status_code == 200
        out, _ = service.process.communicate(timeout=20)
        assert (service.process.returncode, out) == (0, "")
        assert {line["code"] for line in service.complaints()} == {503}
        with pytest.raises(httpx.ConnectError):
            service.get("/health/live")


def connection(service: Service, length: int, sent: bytes) -> socket.socket:
    """Begin a request, and leave it at that."""
    url = httpx.URL(service.url)
    client = socket.create_connection((url.host, url.port or 80))
    head = f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}"
    client.sendall(head.encode() + b"\r\n\r\n" + sent)
    return client
