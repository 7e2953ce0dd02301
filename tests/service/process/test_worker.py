import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import PREDICT, pack
from tests.bfloat16 import needs_bfloat16
from tests.bundles import linear_regression
from tests.service.serving import ROOT, TIMEOUT, caveat, serving, until


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_lists_its_models_and_stops_without_errors(bundles: Path, stop: signal.Signals) -> None:
    with serving(bundles, "--default-model", "tabular") as service:
        assert "linear 1 and tabular 1, 2 (default)" in service.line
        assert service.line.endswith("/docs\n")
        service.process.send_signal(stop)
        out, _ = service.process.communicate(timeout=TIMEOUT)
        assert (service.process.returncode, out, service.complaints()) == (0, "", [])


@pytest.fixture
def loading(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a service that answers while it loads many versions."""
    for _ in range(200):
        store.add(tmp_path, linear_regression())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "caveat", "serve", str(tmp_path), "--port", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.perf_counter() + TIMEOUT
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=TIMEOUT).raise_for_status()
                break
            except httpx.ConnectError:
                assert time.perf_counter() < end
                time.sleep(0.02)
        yield process, f"http://127.0.0.1:{port}"
        process.terminate()


def test_it_is_not_ready_while_it_loads(loading: tuple[subprocess.Popen[str], str]) -> None:
    process, url = loading
    for path in ("/health/ready", "/models/linear/ready", "/models"):
        assert httpx.get(url + path, timeout=TIMEOUT).status_code == 503
    assert httpx.post(f"{url}/predict", json={"inputs": [[1, 2, 3]]}, timeout=TIMEOUT).status_code == 503
    assert process.stdout is not None
    assert "linear" in process.stdout.readline()
    assert httpx.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 200
    answer = httpx.post(f"{url}/predict", json={"inputs": [[1, 2, 3]]}, timeout=TIMEOUT)
    assert answer.json()["version"] == 200
    process.terminate()
    _, told = process.communicate(timeout=TIMEOUT)
    lines = [json.loads(line) for line in told.splitlines()]
    # A probe that is told to wait leaves no line, and who asks too early is no error.
    refused = [(line["level"], line["route"]) for line in lines if line.get("code") == 503]
    assert refused == [("warning", "/models"), ("warning", "/predict")]


def test_it_stops_while_it_loads(loading: tuple[subprocess.Popen[str], str]) -> None:
    process, _ = loading
    process.terminate()
    assert process.communicate(timeout=TIMEOUT)[0] == ""
    assert process.returncode == 0


def test_an_answer_does_not_wait_for_an_acknowledgement(bundles: Path) -> None:
    with serving(bundles) as service:
        service.get("/health/live")
        # An acknowledgement is delayed for 40 ms, each time.
        until(lambda: service.get("/health/live").elapsed.total_seconds() < 0.02)


def test_a_flag_overrides_the_environment(bundles: Path) -> None:
    environment = {"CAVEAT_MAX_ROWS": "1", "CAVEAT_MAX_SAMPLES": "5", "CAVEAT_STORE": str(bundles)}
    with serving("--max-rows", "2", **environment) as service:
        two = [[1, 2, 3]] * 2
        assert service.ask("/models/linear/predict", inputs=two).status_code == 200
        assert service.ask("/models/linear/predict", inputs=two * 2).status_code == 413
        assert service.ask("/models/linear/predict/uncertainty", inputs=two, samples=6).status_code == 422
        # A request without `samples` gets no more passes than the limit.
        assert service.ask("/models/linear/predict/uncertainty", inputs=two).json()["samples"] == 5
        # There are several models, and no default is set.
        response = service.ask("/predict", inputs=two)
        assert response.status_code == 404
        assert "start the service with --default-model, or name one" in response.json()["detail"]
        assert response.json()["detail"].endswith("name one: linear or tabular")
        paths = service.get("/openapi.json").json()["paths"]
        assert "/predict" not in paths
        assert "/models/{name}/predict" in paths
        assert service.get("/models").json()["default"] is None


def test_the_bundled_model_answers_its_example_in_little_memory() -> None:
    with serving() as service:
        model = service.get("/models/digits").json()
        assert model["default"]
        for verb in ("predict", "predict/uncertainty"):
            operation = service.get("/openapi.json").json()["paths"][f"/{verb}"]["post"]
            example = operation["requestBody"]["content"]["application/json"]["example"]
            assert example["inputs"] == model["example"]
            answer = service.ask(f"/{verb}", **example).json()
            assert set(answer["label"]) <= set("0123456789")
            assert len(answer["label"]) == len(model["example"])
        assert service.resident() < 150e6


@needs_bfloat16
def test_answers_in_bfloat16_name_it_and_are_reproducible() -> None:
    rows = np.random.default_rng(0).integers(0, 17, (12, 8, 8)).tolist()
    with serving("--precision", "bfloat16") as service, ThreadPoolExecutor(12) as clients:
        assert service.get("/models/digits").json()["precision"] == "bfloat16"
        together = service.ask("/predict/uncertainty", inputs=rows).json()
        assert together["precision"] == "bfloat16"
        assert service.ask("/predict", inputs=rows).json()["precision"] == "bfloat16"
        alone = clients.map(lambda row: service.ask("/predict/uncertainty", inputs=[row]).json(), rows)
        assert [answer["mean"][0] for answer in alone] == together["mean"]
    with serving() as service:
        exact = service.ask("/predict/uncertainty", inputs=rows).json()
    assert "precision" not in exact
    assert exact["mean"] != together["mean"]
    np.testing.assert_allclose(exact["mean"], together["mean"], atol=0.01)


@needs_bfloat16
def test_a_network_that_bfloat16_would_change_too_much_runs_in_float32(bundles: Path) -> None:
    with serving(bundles, "--precision", "bfloat16") as service:
        assert service.get("/models/linear").json()["precision"] == "float32"
        assert "precision" not in service.ask("/models/linear/predict", inputs=[[1, 2, 3]]).json()
        service.process.terminate()
        _, told = service.process.communicate(timeout=TIMEOUT)
    assert "linear 1 runs in float32: bfloat16 would change the mean of its example" in told


def test_an_only_model_is_the_default(tmp_path: Path) -> None:
    store.add(tmp_path, linear_regression())
    with serving(tmp_path, "--default-seed", "5") as service:
        answer = service.ask("/predict/uncertainty", inputs=[[1, 2, 3]]).json()
        assert (answer["model"], answer["seed"]) == ("linear", 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "--port: Input should be less than or equal to 65535"),
        (["--max-rows", "none"], "--max-rows: Input should be a valid integer"),
        (["--default-model", "other"], "no model 'other'; there is linear or tabular"),
        (["--precision", "int4"], "--precision: Input should be 'float32' or 'bfloat16'"),
        (["--providers", "Tpu"], "ONNX Runtime has no Tpu here; it has"),
        (["--providers", "Tpu", "--precision", "bfloat16"], "--providers is for float32"),
        (["--host", "256.0.0.1"], "cannot listen on 256.0.0.1 port 8000"),
    ],
)
def test_wrong_settings_end_with_one_line(bundles: Path, arguments: list[str], message: str) -> None:
    refused(message, bundles, *arguments)


def test_wrong_variables_end_with_one_line(bundles: Path) -> None:
    refused("CAVEAT_MAX_BYTES: Input should be greater than or equal to 1", bundles, CAVEAT_MAX_BYTES="0")
    refused("serve: CAVEAT_PORT: Input should be a valid integer", bundles, CAVEAT_PORT="abc")
    refused("serve: --port: Input should be a valid integer", bundles, "--port", "x", CAVEAT_PORT="abc")


def test_an_empty_variable_counts_as_unset(bundles: Path) -> None:
    with serving(bundles, CAVEAT_PORT="", CAVEAT_DEFAULT_MODEL="", CAVEAT_MAX_ROWS="") as service:
        assert service.get("/health/ready").status_code == 200


def test_a_missing_store_ends_with_one_line(tmp_path: Path) -> None:
    refused("nowhere: not a folder", tmp_path / "nowhere")


def test_an_empty_store_ends_with_one_line(tmp_path: Path) -> None:
    refused("no bundle here", tmp_path)


@pytest.mark.parametrize("below", ["linear", "linear/1"])
def test_a_folder_within_a_store_gets_a_suggestion(bundles: Path, below: str) -> None:
    refused(f"Did you mean {bundles}?", bundles / below)


def damage(store: Path, name: str) -> None:
    with (store / name / "1" / "passes.onnx").open("ab") as file:
        file.write(b"!")


def test_a_damaged_default_model_ends_with_one_line(bundles: Path, tmp_path: Path) -> None:
    shutil.copytree(bundles, tmp_path / "store")
    damage(tmp_path / "store", "linear")
    refused("passes.onnx: holds", tmp_path / "store", "--default-model", "linear")


def test_sound_models_are_served_and_damaged_ones_are_logged(bundles: Path, tmp_path: Path) -> None:
    shutil.copytree(bundles, tmp_path / "store")
    damage(tmp_path / "store", "linear")
    damage(tmp_path / "store", "tabular")
    with serving(tmp_path / "store") as service:
        assert "Caveat serves tabular 2 (default) at" in service.line
        assert [(each["name"], each["version"]) for each in service.get("/models").json()["failing"]] == [
            ("linear", 1),
            ("tabular", 1),
        ]
        assert service.get("/models/tabular/ready").json() == {"status": "ready"}
        unready = service.get("/models/linear/ready")
        assert (unready.status_code, "passes.onnx: holds" in unready.json()["detail"]) == (503, True)
        assert service.get("/models/none/ready").status_code == 404
        counted = service.get("/metrics").text
        assert 'caveat_model_failing{model="linear",version="1"} 1.0' in counted
        assert 'caveat_model_loaded{model="tabular",version="2"} 1.0' in counted
        first, second = service.events("store")
        assert "problem with linear 1: " in first["message"]
        assert "problem with tabular 1: " in second["message"]


def test_an_invalid_graph_ends_with_one_line(tmp_path: Path) -> None:
    sound = linear_regression()
    store.add(tmp_path, pack(sound.manifest, {**sound.files, PREDICT: b"junk"}))
    refused("linear/1/predict.onnx: the graph is cut off, or no ONNX file", tmp_path)


def test_a_taken_port_ends_with_one_line(bundles: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(f"cannot listen on 127.0.0.1 port {port}: Address already in use", bundles, "--port", port)


def refused(message: str, *arguments: str | Path, **environment: str) -> None:
    ended = caveat("serve", *arguments, **environment)
    assert ended.returncode not in (0, None)
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
