import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from caveat.service.desk.desk import Desk
from caveat.service.rest.app import App, create_app
from caveat.service.rest.problems import InputProblem, Problem, problem
from caveat.service.rest.routes import ROUTES
from caveat.service.settings import Settings
from tests.service.serving import TIMEOUT, Service, serving, until

POINT = b'{"inputs": [[1, 2, 3]]}'


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/nothing", b"", 404, "there is nothing at /nothing; /docs shows"),
        ("GET", "/docs/assets/nothing.js", b"", 404, "there is nothing at"),
        ("GET", "/docs/assets/" + "a" * 5000, b"", 404, "there is nothing at"),
        ("GET", "/docs/assets/..%2Fapi.py", b"", 404, "there is nothing at"),
        ("GET", "/predict", b"", 405, "/predict takes POST, not GET"),
        ("DELETE", "/models", b"", 405, "/models takes GET, not DELETE"),
        ("GET", "/models/none", b"", 404, "no model 'none'; there is linear or tabular"),
        ("POST", "/models/none/predict", POINT, 404, "no model 'none'; there is linear or tabular"),
        (
            "POST",
            "/models/tabular/versions/3/predict",
            POINT,
            404,
            "no version 3 of tabular; there is 1 or 2",
        ),
        (
            "POST",
            "/models/tabular/versions/0/predict",
            POINT,
            404,
            "no version 0 of tabular; there is 1 or 2",
        ),
        (
            "POST",
            "/models/tabular/versions/x/predict",
            POINT,
            404,
            "no alias 'x' of tabular; there is 1 or 2",
        ),
        (
            "POST",
            "/models/tabular/versions/1.5/predict",
            POINT,
            422,
            "version: expected a valid integer or an alias, got 1.5",
        ),
        (
            "GET",
            "/models/tabular/versions/01",
            b"",
            422,
            "version: expected a valid integer or an alias, got 01",
        ),
        (
            "GET",
            "/models/tabular/versions/" + "9" * 5000,
            b"",
            422,
            f"version: expected a valid integer or an alias, got {'9' * 80}",
        ),
        ("POST", "/predict", b"{", 400, "not JSON"),
        ("POST", "/predict", b"", 400, "empty"),
        ("POST", "/predict", b" " * 100_001, 413, "100000 bytes"),
        ("POST", "/predict", POINT, 422, "inputs[0]: expected an object"),
    ],
)
def test_every_error_is_a_problem_document(
    service: Service, method: str, path: str, body: bytes, status: int, detail: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = service.client.request(method, path, content=body, headers=headers)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = (InputProblem if status == 422 else Problem).model_validate(response.json())
    assert problem.status == status
    assert detail in problem.detail


LONG = "é" * 2000
PATIENT = {"age": 61, "smoker": "no", "dose": 2}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/{LONG}", None),
        (f"/models/{LONG}", None),
        (f"/models/{LONG}/predict", {}),
        (f"/models/tabular/versions/{LONG}/predict", {}),
        (f"/models/tabular/versions/{'a' * 15_000}/predict", {}),
        (f"/docs/assets/{LONG}", None),
        (f"/predict?{LONG}=1", {}),
        (f"/predict/uncertainty?sampler={LONG}", {"inputs": [PATIENT]}),
        ("/predict", {LONG * 20: 1}),
        ("/predict", {"inputs": {LONG * 20: 1}}),
        ("/predict", {"inputs": [{LONG * 20: 1}]}),
        ("/predict", {"inputs": [PATIENT | {LONG * 20: 1}]}),
        ("/predict", {"inputs": [PATIENT | {"smoker": LONG * 20}] * 2}),
        ("/predict", {"inputs": LONG * 20}),
        ("/predict/uncertainty", {"inputs": [PATIENT], "sampler": LONG * 20}),
        ("/predict/uncertainty", {"inputs": [PATIENT], "seed": list(range(9000))}),
        *(
            (f"/models/{name}/predict/uncertainty", {"inputs": rows, "max_error": 0.1} | option)
            for name, rows in (("tabular", [PATIENT]), ("linear", [[1, 2, 3]]))
            for option in (
                {"error_tolerance": [1.5] * 9000},
                {"error_tolerance": [1.5] * 20_000},
                {"error_tolerance": [LONG] * 20},
                {"quantiles": [0.5] * 20_000},
            )
        ),
    ],
)
def test_whatever_was_sent_a_refusal_and_its_line_are_short(
    service: Service, path: str, body: object
) -> None:
    answer = service.ask(path, **body) if isinstance(body, dict) else service.get(path)
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 8000
    name = answer.headers["x-request-id"]
    until(lambda: any(line["id"] == name for line in service.events("request")))
    (line,) = [line for line in service.events("request") if line["id"] == name]
    assert len(json.dumps(line)) < 8000


def test_a_refusal_lists_some_of_many_rows_and_says_how_many_there_are(bundles: Path) -> None:
    with serving(bundles, "--default-model", "tabular") as service:
        answer = service.ask("/predict", inputs=[PATIENT, *[PATIENT | {"smoker": "maybe"}] * 4000])
        assert answer.status_code == 422
        problem = InputProblem.model_validate(answer.json())
        assert problem.rows == list(range(1, 101))
        assert "4000 rows do not fit: 1, 2," in problem.detail


def test_the_middle_of_a_long_detail_is_left_out(service: Service) -> None:
    detail = service.get(f"/{'a' * 5000}").json()["detail"]
    assert detail.startswith("there is nothing at /aaa")
    assert detail.endswith("aaa; /docs shows what there is")
    assert " characters left out] " in detail
    assert len(detail) <= 1000


@pytest.mark.parametrize(
    ("status", "title"), [(404, "Not Found"), (413, "Content Too Large"), (422, "Unprocessable Content")]
)
def test_titles_are_the_same_in_every_python(status: int, title: str) -> None:
    assert problem(status, "", "a1")["title"] == title


def test_a_wrong_method_says_which_is_right(service: Service) -> None:
    assert service.get("/predict").headers["Allow"] == "POST"


def test_every_route_answers_503_until_the_store_is_loaded() -> None:
    async def ask() -> None:
        desk = Desk(Settings())
        async with desk.running(), in_process(App(desk)) as client:  # nothing has loaded the store
            assert (await client.get("/health/live")).status_code == 200
            loaded = [route for route in ROUTES if 503 in route.problems and route.path != "/predict"]
            for route in loaded:
                path = route.path.format(name="digits", version=1, alias="champion")
                if route.access == "admins":  # closed without keys
                    continue
                response = await client.request(route.method, path)
                assert response.status_code == 503
                assert response.headers["Retry-After"] == "1"
                assert "not loaded yet" in response.json()["detail"]

    asyncio.run(ask())


def test_only_the_log_shows_the_details_of_a_fault(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "caveat.service.desk.monitoring.log.lines", lambda lines: logged.extend(map(orjson.loads, lines))
    )
    app = create_app(Settings(store=bundles))
    body = {"inputs": [[1, 2, 3]]}

    async def ask() -> None:
        async with app.lifespan(app), in_process(app) as client:
            monkeypatch.setattr("caveat.models.predictor.Predictor.predict", fail)
            response = await client.post("/models/linear/predict", json=body)
            counted = (await client.get("/metrics")).text
        assert response.status_code == 500
        (fault,) = [line for line in logged if line["event"] == "request_failed"]
        assert fault["id"] == response.headers["X-Request-Id"] == response.json()["request_id"]
        assert fault["traceback"].endswith("RuntimeError: secret\n")
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "secret" not in Problem.model_validate(response.json()).detail
        assert 'code="500",model="linear",route="/models/{name}/predict",version="1"} 1.0' in counted

    asyncio.run(ask())


def test_a_cancelled_request_is_logged(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "caveat.service.desk.monitoring.log.lines", lambda lines: logged.extend(map(orjson.loads, lines))
    )
    app = create_app(Settings(store=bundles, max_samples=10**8))
    body = {"inputs": [[1, 2, 3]], "samples": 10**8}

    async def ask() -> None:
        async with app.lifespan(app), in_process(app) as client:
            asking = asyncio.create_task(client.post("/models/linear/predict/uncertainty", json=body))
            async with asyncio.timeout(TIMEOUT):
                while not app.desk.admission.passes:
                    await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            await client.get("/metrics")
        (line,) = [line for line in logged if line["event"] == "request"]
        assert (line["code"], line["model"], line["rows"]) == (500, "linear", 1)

    asyncio.run(ask())


def in_process(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://caveat")


def test_invalid_http_gets_a_problem_document(service: Service) -> None:
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80)) as client:
        client.sendall(b"what?\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert Problem.model_validate_json(body).detail.startswith("not HTTP: ")


@pytest.mark.parametrize("wanted", ["bytes=0-3", "lines=1", "bytes=9999999-"])
def test_range_requests_get_the_whole_file(service: Service, wanted: str) -> None:
    response = service.client.get("/docs/assets/favicon.png", headers={"Range": wanted})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "image/png"
