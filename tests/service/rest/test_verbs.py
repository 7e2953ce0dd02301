"""Many clients at once, over HTTP: equal bits, fairness, overload, deadlines, lost clients, stopping."""

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.process.wire.raw import ENDLESS, ROOM, UNHURRIED, wire
from tests.service.serving import TIMEOUT, Service, serving, until

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
def test_an_answer_under_load_has_the_same_bytes_as_alone(
    service: Service, bodies: list[dict[str, Any]]
) -> None:
    alone = [service.ask(ROUTE, **body).content for body in bodies]
    with ThreadPoolExecutor(len(bodies)) as clients:
        together = list(clients.map(lambda body: service.ask(ROUTE, **body).content, bodies))
    assert together == alone


def test_health_and_small_requests_are_answered_while_a_long_one_runs(bundles: Path) -> None:
    with serving(bundles, *UNHURRIED) as service, ThreadPoolExecutor(1) as clients:
        with wire(service) as endless:
            endless.send(ENDLESS)
            until(lambda: service.admitted() == 1)
            for _ in range(20):
                assert service.get("/health/live").status_code == 200
                assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
            assert service.admitted() == 1
        long = clients.submit(service.ask, ROUTE, inputs=[POINT] * 100, samples=200_000)
        while not long.done():
            assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
        assert long.result().status_code == 200


def test_excess_requests_are_refused_at_once_and_admitted_ones_answered(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "4", *UNHURRIED) as service:
        answers = asked_together(service, 16, LONG | {"samples": 20_000})
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 429}
        assert codes.count(200) >= 4
        for answer in answers:
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == "1"
                assert "4 requests are waiting already" in answer.json()["detail"]
        assert service.ask(ROUTE, inputs=[POINT]).status_code == 200  # every place is free again


def test_waiting_work_and_bytes_are_limited(bundles: Path) -> None:
    limits = ("--max-pending-passes", "3000000", "--max-samples", "100000", "--max-bytes", "200000")
    with serving(bundles, *limits, "--timeout", "600", "--client-timeout", "600") as service:
        heavy = {"inputs": [POINT] * 100, "samples": 20_000}
        answers = asked_together(service, 6, heavy)
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert "passes over rows are waiting already" in refused.json()["detail"]
        alone = service.ask(ROUTE, **heavy | {"samples": 40_000})
        assert alone.status_code == 200

        # Four bodies of the largest size may be arriving; of others, only small ones are accepted then.
        large = json.dumps({"inputs": [POINT]}).encode().ljust(200_000)
        promised = [connection(service, length=200_000, sent=b"{") for _ in range(10)]
        until(lambda: service.metric("admitted_bytes") == 10)
        assert service.send(ROUTE, large).status_code == 200
        slow = [connection(service, length=200_000, sent=b" " * 199_990) for _ in range(4)]
        until(lambda: service.metric("admitted_bytes") == 10 + 4 * 199_990)
        assert "bytes of requests are waiting" in service.send(ROUTE, large).text
        assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
        for client in slow + promised:
            client.close()
        until(lambda: service.send(ROUTE, large).status_code == 200)


def test_slow_senders_take_no_place(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "2", "--client-timeout", "600") as service:
        slow = [connection(service, length=100, sent=b"{") for _ in range(20)]
        until(lambda: service.metric("admitted_bytes") == 20)
        for _ in range(5):
            assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
        for client in slow:
            client.close()


def test_a_request_over_its_deadline_gets_504_and_frees_its_place(bundles: Path) -> None:
    with serving(bundles, "--timeout", "2", "--max-pending", "1", *ROOM) as service:
        answer = service.ask(ROUTE, inputs=[POINT] * 100, samples=10**9)
        assert answer.status_code == 504
        assert "no answer in time" in answer.json()["detail"]

        def answered() -> bool:
            code = service.ask(ROUTE, inputs=[POINT]).status_code
            assert code in (200, 504)  # of a busy machine; never the 429 of a place that is taken
            return code == 200

        until(answered)


def test_a_client_that_leaves_frees_its_place(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "1", *UNHURRIED) as service:
        with wire(service) as client:
            client.send(ENDLESS)
            until(lambda: service.ask(ROUTE, inputs=[POINT]).status_code == 429)
        until(lambda: service.ask(ROUTE, inputs=[POINT]).status_code == 200)


def test_a_client_that_leaves_does_not_affect_others(bundles: Path) -> None:
    with serving(bundles) as service:
        body = {"inputs": [POINT] * 20, "samples": 10_000}
        alone = service.ask(ROUTE, **body).content
        raw = json.dumps(body).encode()
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(service.ask, ROUTE, **body) for _ in range(8)]
            for _ in range(20):
                connection(service, len(raw), raw).close()
            assert {answer.result().content for answer in asked} == {alone}


def test_a_stopping_service_answers_only_admitted_requests(bundles: Path) -> None:
    with serving(bundles, *UNHURRIED) as service, ThreadPoolExecutor(1) as clients:
        asked = clients.submit(service.ask, ROUTE, inputs=[POINT] * 100, samples=400_000)
        until(lambda: service.admitted() == 1)
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.get("/health/ready").status_code == 503)
        for answer in (service.ask(ROUTE, inputs=[POINT]), service.get("/health/ready")):
            assert answer.status_code == 503
            assert "shutting down" in answer.json()["detail"]
        assert service.get("/health/live").status_code == 200
        assert not asked.done()
        assert asked.result().status_code == 200
        out, _ = service.process.communicate(timeout=TIMEOUT)
        assert (service.process.returncode, out) == (0, "")
        assert {line["code"] for line in service.complaints()} == {503}
        with pytest.raises(httpx.ConnectError):
            service.get("/health/live")


def asked_together(service: Service, count: int, body: dict[str, Any]) -> list[httpx.Response]:
    """Ask from several clients at once, until they are so close together that one of them is refused."""
    answers: list[httpx.Response] = []

    def too_much() -> bool:
        with ThreadPoolExecutor(count) as clients:
            answers[:] = clients.map(lambda _: service.ask(ROUTE, **body), range(count))
        return 429 in {answer.status_code for answer in answers}

    until(too_much)
    return answers


def connection(service: Service, length: int, sent: bytes) -> socket.socket:
    """Begin a request without finishing it."""
    url = httpx.URL(service.url)
    client = socket.create_connection((url.host, url.port or 80))
    head = f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}"
    client.sendall(head.encode() + b"\r\n\r\n" + sent)
    return client
