"""The application is whole under any ASGI server, and below a path of another application."""

import os
import random
import re
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from caveat.models.bundles import store
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression, tabular
from tests.service.serving import TIMEOUT, Process, Service, serving, until

UVICORN = ["uvicorn", "{app}", "--port", "{port}", "--log-level", "warning"]
HYPERCORN = ["hypercorn", "{app}", "--bind", "127.0.0.1:{port}", "--graceful-timeout", str(TIMEOUT)]
GRANIAN = ["granian", "--interface", "asgi", "{app}", "--port", "{port}", "--log-level", "error"]

HOSTS = {
    "uvicorn": (UVICORN, "caveat.asgi:app", ""),
    "uvicorn with h11 and asyncio": (
        [*UVICORN, "--http", "h11", "--loop", "asyncio"],
        "caveat.asgi:app",
        "",
    ),
    "hypercorn": (HYPERCORN, "caveat.asgi:app", ""),
    "granian": (GRANIAN, "caveat.asgi:app", ""),
    "mounted with its lifespan": (UVICORN, "tests.mounted:started", "/caveat"),
    "mounted": (UVICORN, "tests.mounted:unstarted", "/caveat"),
}
"""Command, application and path of the service, by the name of the host."""

POINTS = [[1, 2, 3], [0.5, -1, 2]]


class Host(Service):
    """The service under somebody else's server."""

    is_told_of_the_end = True
    """Whether the service can report on its last requests; no lifespan reaches a mounted application."""

    def line_of(self, **facts: Any) -> bool:
        """Tell whether the request log has a line with these facts."""
        lines = [line for line in self.process.logged().splitlines() if line.startswith('{"time"')]
        return any(all(f'"{key}":{value}' in line for key, value in facts.items()) for line in lines)


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    command, app, root = HOSTS[request.param]
    folder = tmp_path_factory.mktemp("store")
    store.add(folder, linear_regression())
    port = str(free_port())
    process = Process(
        [sys.executable, "-m", *(part.format(app=app, port=port) for part in command)],
        {"CAVEAT_STORE": str(folder), "CAVEAT_POLL": "0.2", "CAVEAT_MAX_SAMPLES": "100000000"},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}{root}", timeout=TIMEOUT) as client:
            host = Host(process, client, str(folder))
            host.is_told_of_the_end = request.param != "mounted"
            until(lambda: is_up(host))
            yield host
    finally:
        process.end()


def free_port() -> int:
    """Find a free port, below those that the system gives to the connections and services of other tests."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_up(host: Host) -> bool:
    assert host.process.poll() is None, host.process.logged()
    try:
        return host.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_answers_have_the_bits_of_the_predictor_and_the_headers_of_the_service(host: Host) -> None:
    response = host.ask("/models/linear/predict/uncertainty", inputs=POINTS, seed=3, samples=50)
    expected = estimate(Predictor(linear_regression()), POINTS, 50, 3)
    for name in ("mean", "variance", "standard_error"):
        assert response.json()[name] == expected[name].tolist()
    for answer in (response, host.get("/models"), host.get("/nothing"), host.ask("/predict", inputs=[])):
        assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
        (name,) = answer.headers.get_list("X-Request-Id")
        assert re.fullmatch("[0-9a-f]+-[0-9a-f]+", name)


def test_the_answer_is_the_one_of_the_command(host: Host) -> None:
    with serving(host.line) as service:
        for verb in ("predict", "predict/uncertainty"):
            one, other = (each.ask(f"/models/linear/{verb}", inputs=POINTS) for each in (service, host))
            assert one.status_code == 200
            assert one.content == other.content


def test_the_documentation_works_below_the_path(host: Host) -> None:
    page = host.get("/docs")
    assert host.client.get("/", follow_redirects=True).text == page.text
    files = [urljoin(str(page.url), file) for file in re.findall(r'(?:src|href)="([^"]+)"', page.text)]
    assert len(files) == 3
    for file in files:
        assert host.client.get(file).status_code == 200
    document = host.client.get(urljoin(str(page.url), "openapi.json")).json()
    root = page.url.path.removesuffix("/docs")
    assert document.get("servers", [{"url": ""}]) == [{"url": root}]
    assert f"{root}/docs shows" in host.get("/nothing").json()["detail"]


def test_the_store_is_watched_and_requests_are_logged(host: Host) -> None:
    store.add(Path(host.line), tabular())
    until(lambda: "tabular" in host.get("/models").text)
    host.client.get("/models", headers={"X-Request-Id": "looked-for"})
    until(lambda: host.line_of(id='"looked-for"', route='"/models"'))


def test_a_client_that_leaves_is_noticed_long_before_its_passes_are_made(host: Host) -> None:
    before = host.metric("cancelled_total")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{host.url}/models/linear/predict/uncertainty",
            json={"inputs": POINTS, "samples": 40_000_000},
            headers={"X-Request-Id": "impatient"},
            timeout=0.5,
        )
    until(lambda: host.line_of(id='"impatient"', code=400))
    assert not host.admitted()
    assert host.metric("cancelled_total") == before + 1


def test_what_is_admitted_is_answered_and_logged_before_the_end(host: Host) -> None:
    path = f"{host.url}/models/linear/predict/uncertainty"
    body = {"inputs": POINTS, "samples": 2_000_000}
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(httpx.post, path, json=body, timeout=TIMEOUT)
        until(lambda: bool(host.admitted()), 10)
        os.kill(host.process.pid, signal.SIGTERM)
        assert asking.result().status_code == 200
    host.process.wait(TIMEOUT)
    logged = host.process.logged()
    assert not re.findall("Traceback|request_failed|never retrieved|was destroyed", logged), logged
    if host.is_told_of_the_end:
        assert host.line_of(rows=2, passes=4_000_000)
