"""Many clients at once, over HTTP: equal bits, fairness, overload, deadlines, lost clients, stopping."""

import json
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.process.wire.raw import ENDLESS, ROOM, UNHURRIED, post, wire
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
        assert codes.count(200) >= 3
        for answer in answers:
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == "1"
                assert re.search("3 large requests are|4 requests are", answer.json()["detail"])
        assert service.ask(ROUTE, inputs=[POINT]).status_code == 200  # every place is free again


def test_large_requests_lock_out_no_small_ones(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "8", *UNHURRIED) as service, ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(wire(service)).send(ENDLESS)
        until(lambda: service.admitted() == 6)
        for _ in range(20):
            assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
            assert service.ask(ROUTE, inputs=[POINT] * 10).status_code == 200
            assert service.ask("/models/linear/predict", inputs=[POINT] * 4096).status_code == 200
        refused = service.ask(ROUTE, inputs=[POINT] * 11)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert "6 large requests are waiting already" in refused.json()["detail"]
        assert "ask for at most 1000 rows x samples at once" in refused.json()["detail"]
        assert service.admitted() == 6


def test_a_request_that_can_not_end_in_time_is_told_what_could(bundles: Path) -> None:
    with serving(bundles, "--timeout", "3", *ROOM) as service:
        body = {"inputs": [POINT] * 100, "samples": 10**9}

        def told() -> bool:  # once enough of such work has run
            answer = service.ask(ROUTE, **body)
            assert answer.status_code in (422, 504)
            return answer.status_code == 422

        until(told)
        answer = service.ask(ROUTE, **body)
        assert answer.status_code == 422
        document = answer.json()
        assert document["where"] == "samples"
        assert "100 rows, which take about" in document["got"]
        found = re.match(r"at most (\d+) samples for 100 rows", document["expected"])
        assert found
        assert service.ask(ROUTE, **body | {"samples": int(found[1])}).status_code in (200, 504)
        assert service.ask(ROUTE, **body | {"samples": int(found[1]) // 100}).status_code == 200


def test_a_key_leaves_room_to_others(bundles: Path) -> None:
    def keyed(key: str, body: bytes) -> bytes:
        return post(body, f"Authorization: Bearer {key}")

    def asked(key: str, rows: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(service.url + ROUTE, json={"inputs": [POINT] * rows}, headers=headers)

    one, other = "the-key-of-one-client", "the-key-of-another"
    endless = ENDLESS.rpartition(b"\r\n")[2]
    with (
        serving(bundles, "--max-pending", "8", *UNHURRIED, CAVEAT_API_KEYS=f"{one},{other}") as service,
        ExitStack() as stack,
    ):
        held = [stack.enter_context(wire(service)) for _ in range(6)]
        for each in held:
            each.send(keyed(one, endless))

        def is_refused() -> bool:  # as it has all that is not kept
            return asked(one, 1).status_code == 429

        until(is_refused)
        assert asked(other, 10).status_code == 200
        assert asked(other, 11).status_code == 429
        held.pop().close()
        until(lambda: asked(other, 11).status_code == 200)
        refused = asked(one, 1)
        assert refused.status_code == 429
        assert "this key" in refused.json()["detail"]


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
