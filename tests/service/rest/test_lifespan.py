"""The application starts and ends as its server, or another application, lets it."""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caveat import asgi
from caveat.models.bundles import store
from caveat.service.rest.app import create_app
from caveat.service.settings import Settings
from tests.bundles import linear_regression

BODY = {"inputs": [[1, 2, 3]], "samples": 10_000}
CLIENT = "a-key-of-a-client-of-ours"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "caveat.service.desk.monitoring.log.lines", lambda written: lines.extend(map(orjson.loads, written))
    )
    return lines


def in_process(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://caveat")


@pytest.mark.parametrize("is_started", [True, False])
def test_the_application_works_in_one_event_loop_after_another(bundles: Path, is_started: bool) -> None:
    app = create_app(Settings(store=bundles, default_model="linear"))

    async def ask() -> bytes:
        async with app.lifespan(app) if is_started else nullcontext(), in_process(app) as client:
            first, second = await asyncio.gather(
                *(client.post("/predict/uncertainty", json=BODY) for _ in range(2))
            )
        assert first.content == second.content
        return first.content

    answers = {asyncio.run(ask()) for _ in range(3)}
    assert len(answers) == 1
    assert b"mean" in answers.pop()


def test_a_store_that_can_not_be_served_is_logged_guarded_and_tried_again(
    tmp_path: Path, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caveat.service.rest.lifespan._PAUSE", 0.05)
    folder = tmp_path / "store"
    app = create_app(Settings.model_validate({"store": folder, "api_keys": CLIENT}))
    headers = {"Authorization": f"Bearer {CLIENT}"}

    async def ask() -> None:
        async with in_process(app) as client:
            for _ in range(20):
                assert (await client.post("/predict", json=BODY)).status_code == 401
            assert (await client.get("/health/live")).status_code == 200
            answer = await client.post("/predict", json=BODY, headers=headers)
            assert answer.status_code == 503
            assert str(tmp_path) not in answer.text
            async with asyncio.timeout(60):
                while len([line for line in logged if line["event"] == "request"]) < 21:
                    await asyncio.sleep(0.01)
            assert [line["message"] for line in logged if line["event"] == "store"] == [
                f"{folder}: not a folder; a store holds <name>/<version>/manifest.json"
            ]
            store.add(folder, linear_regression())
            async with asyncio.timeout(60):
                while (await client.get("/health/ready")).status_code != 200:
                    await asyncio.sleep(0.01)

    asyncio.run(ask())


def test_a_lifespan_refuses_a_store_that_can_not_be_served(tmp_path: Path) -> None:
    app = create_app(Settings(store=tmp_path / "none"))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def start() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(start())
    (message,) = sent
    assert message["type"] == "lifespan.startup.failed"
    assert message["message"].endswith("none: not a folder; a store holds <name>/<version>/manifest.json")


def test_what_has_ended_stays_so_in_its_event_loop(bundles: Path) -> None:
    app = create_app(Settings(store=bundles, default_model="linear"))

    async def ask() -> None:
        async with in_process(app) as client:
            async with app.lifespan(app):
                assert (await client.get("/health/ready")).status_code == 200
            assert (await client.get("/health/ready")).status_code == 503
            assert "shutting down" in (await client.post("/predict", json=BODY)).json()["detail"]
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(ask())


def test_middleware_that_gives_the_body_again_and_again_stops_nothing(bundles: Path) -> None:
    app = create_app(Settings(store=bundles, default_model="linear", max_samples=10**6))

    async def replaying(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, again, send)

    async def ask() -> None:
        async with app.lifespan(app), in_process(replaying) as client:
            asked = client.post("/predict/uncertainty", json={**BODY, "samples": 10**6})
            assert (await asyncio.wait_for(asked, 60)).status_code == 200

    asyncio.run(ask())


def test_a_client_that_leaves_while_its_answer_is_sent_is_no_fault(
    bundles: Path, logged: list[dict[str, Any]]
) -> None:
    app = create_app(Settings(store=bundles, default_model="linear"))

    async def closed(scope: Scope, receive: Receive, send: Send) -> None:
        async def gone(message: Message) -> None:
            raise BrokenPipeError

        await app(scope, receive, gone)

    async def ask() -> None:
        async with app.lifespan(app), in_process(closed) as client:
            for path in ("/predict", "/models"):
                with pytest.raises(AssertionError):  # of httpx, which gets no answer
                    await client.request(
                        "POST" if path == "/predict" else "GET", path, json={"inputs": [[1, 2, 3]]}
                    )
            text = app.desk.metrics.text().decode()
            app.desk.reports.fold()
            text = app.desk.metrics.text().decode()
        assert "caveat_cancelled_total 2.0" in text

    asyncio.run(ask())
    assert {line["event"] for line in logged} <= {"request", "drain", "store"}
    requests = [line for line in logged if line["event"] == "request"]
    assert [line["level"] for line in requests] == ["warning", "warning"]


def test_a_length_that_is_no_number_is_no_fault(bundles: Path) -> None:
    app = create_app(Settings(store=bundles, default_model="linear"))

    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        kept = [header for header in scope["headers"] if header[0] != b"content-length"]
        await app({**scope, "headers": [*kept, (b"content-length", b"many")]}, receive, send)

    async def ask() -> None:
        async with app.lifespan(app), in_process(careless) as client:
            assert (await client.post("/predict", json={"inputs": [[1, 2, 3]]})).status_code == 200

    asyncio.run(ask())


def test_the_path_of_a_mount_is_no_route_of_ours(bundles: Path, logged: list[dict[str, Any]]) -> None:
    app = create_app(Settings(store=bundles))
    outer = Starlette(routes=[Mount("/docs", app)])

    async def ask() -> None:
        async with app.lifespan(app), in_process(outer) as client:
            assert (await client.get("/docs/nothing")).status_code == 404
            assert (await client.get("/docs/models")).status_code == 200

    asyncio.run(ask())
    assert [line["route"] for line in logged if line["event"] == "request"] == ["(none)", "/models"]


def test_two_event_loops_at_once_are_refused(bundles: Path) -> None:
    app = create_app(Settings(store=bundles, default_model="linear"))

    async def ask() -> int:
        async with in_process(app) as client:
            return (await client.post("/predict", json={"inputs": [[1, 2, 3]]})).status_code

    async def both() -> None:
        assert await ask() == 200
        with pytest.raises(RuntimeError, match="runs in another event loop"):
            await asyncio.to_thread(asyncio.run, ask())
        assert await ask() == 200

    asyncio.run(both())


def test_a_loop_that_ends_without_a_word_stops_nothing(bundles: Path) -> None:
    app = create_app(Settings(store=bundles, default_model="linear", max_samples=10**8))

    async def ask(samples: int) -> int:
        async with in_process(app) as client:
            body = {**BODY, "samples": samples}
            return (await client.post("/predict/uncertainty", json=body)).status_code

    ended = asyncio.new_event_loop()
    task = ended.create_task(ask(10**8))
    ended.run_until_complete(asyncio.wait([task], timeout=1))
    task.cancel()
    for left in asyncio.all_tasks(ended):
        left.cancel()
    ended.run_until_complete(asyncio.sleep(0))
    assert asyncio.run(asyncio.wait_for(ask(100), 60)) == 200
    ended.run_until_complete(ended.shutdown_asyncgens())
    ended.close()


def test_middleware_is_refused_since_predictions_would_pass_it_by(bundles: Path) -> None:
    app = create_app(Settings(store=bundles))
    with pytest.raises(TypeError, match="wrap the application"):
        app.add_middleware(CORSMiddleware)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CAVEAT_MAX_ROWS": "many"}, "CAVEAT_MAX_ROWS: Input should be a valid integer"),
        ({"CAVEAT_TLS_KEY": "key.pem"}, "--tls-certificate and --tls-key need each other"),
        ({"CAVEAT_STORE": "/nowhere"}, "/nowhere: not a folder"),
        ({"CAVEAT_PORT": "tcp://10.0.0.1:8000", "CAVEAT_WORKERS": "x"}, None),
    ],
)
def test_wrong_variables_fail_the_start_in_a_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    app = asgi._FromEnvironment()
    sent: list[Message] = []
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Message:
        return next(asked)

    async def send(answer: Message) -> None:
        sent.append(answer)

    asyncio.run(app({"type": "lifespan"}, receive, send))
    if message is None:
        assert [answer["type"] for answer in sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
    else:
        (failed,) = sent
        assert failed["type"] == "lifespan.startup.failed"
        assert failed["message"].startswith(message)
