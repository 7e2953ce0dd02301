"""Versions are added and removed while the service runs."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle, pack
from tests.bundles import linear_regression, tabular
from tests.service.serving import TIMEOUT, Service, operated, until

POINT = [[1, 2, 3]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a store with version 1 of a model, which predicts 5.5 + 1."""
    store.add(tmp_path / "store", biased(1))
    return tmp_path / "store"


@pytest.fixture
def told(folder: Path) -> Iterator[Service]:
    """Serve a store that is only updated from on request."""
    with operated(folder, "--poll", "0") as running:
        yield running


@pytest.fixture
def watching(folder: Path) -> Iterator[Service]:
    with operated(folder, "--poll", "0.05") as running:
        yield running


def biased(version: int) -> Bundle:
    return linear_regression(bias=float(version), version=version)


def answering(service: Service, path: str = "/predict") -> int:
    """Return the version that answers, according to both its number and its prediction."""
    answer = service.ask(path, inputs=POINT).json()
    assert answer["mean"] == [6.0 + answer["version"]]
    return int(answer["version"])


def failing(service: Service) -> dict[tuple[str, int | None], str]:
    listed = service.get("/models").json()["failing"]
    return {(each["name"], each["version"]): each["reason"] for each in listed}


def reload(service: Service) -> dict[str, list[dict[str, object]]]:
    response = service.client.post("/admin/reload")
    assert response.status_code == 200, response.text
    content: dict[str, list[dict[str, object]]] = response.json()
    return content


def told_at_the_end(service: Service) -> list[str]:
    """Stop the service and return the log's messages about the store."""
    service.process.terminate()
    service.process.communicate(timeout=TIMEOUT)
    return [event["message"] for event in service.events("store")]


def test_a_folder_whose_name_is_not_utf8_is_skipped(told: Service, folder: Path) -> None:
    other = Path(os.fsdecode(os.fsencode(folder) + b"/b\xff/1"))
    shutil.copytree(folder / "linear" / "1", other)
    assert told.client.post("/admin/reload").status_code == 200
    assert told.client.get("/metrics").status_code == 200
    assert [model["name"] for model in told.client.get("/models").json()["models"]] == ["linear"]


def test_a_version_that_is_copied_slowly_is_served_once_complete(
    watching: Service, folder: Path, tmp_path: Path
) -> None:
    biased(2).save(tmp_path / "2")
    target = folder / "linear" / "2"
    target.mkdir()
    for path in sorted((tmp_path / "2").iterdir()):
        assert answering(watching) == 1
        content = path.read_bytes()
        (target / path.name).write_bytes(content[: len(content) // 2])
        until(lambda: ("linear", 2) in failing(watching))
        assert answering(watching) == 1
        time.sleep(0.2)
        (target / path.name).write_bytes(content)
    until(lambda: answering(watching) == 2)
    assert failing(watching) == {}
    assert watching.get("/models/linear").json()["versions"] == [1, 2]
    incomplete, loaded = told_at_the_end(watching)
    assert "incomplete bundle linear 2: " in incomplete
    assert loaded == "linear 2 is loaded"


def test_a_damaged_version_is_logged_once_and_served_when_repaired(
    watching: Service, folder: Path, tmp_path: Path
) -> None:
    biased(2).save(tmp_path / "2")
    path = tmp_path / "2" / PASSES
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"!")
    (tmp_path / "2").rename(folder / "linear" / "2")
    until(lambda: ("linear", 2) in failing(watching))
    time.sleep(0.3)
    assert answering(watching) == 1
    assert "passes.onnx: sha256 is" in failing(watching)["linear", 2]
    counted = watching.get("/metrics").text
    assert 'caveat_model_failing{model="linear",version="2"} 1.0' in counted
    assert 'caveat_model_load_failures_total{model="linear",version="2"} 1.0' in counted
    (folder / "linear" / "2" / PASSES).write_bytes(sound)
    until(lambda: answering(watching) == 2)
    counted = watching.get("/metrics").text
    assert 'caveat_model_failing{model="linear",version="2"} 0.0' in counted
    assert 'caveat_model_loaded{model="linear",version="2"} 1.0' in counted
    assert 'caveat_model_load_seconds_count{model="linear"} 2.0' in counted
    assert [line for line in told_at_the_end(watching) if "sha256 is" in line]


@pytest.mark.parametrize("file", [PREDICT, PASSES])
def test_a_graph_that_fails_on_the_example_is_not_served(told: Service, folder: Path, file: str) -> None:
    sound = biased(2)
    manifest = sound.manifest.model_copy(update={"example": [[1, 2]]})
    store.add(folder, pack(manifest, sound.files))
    (failed,) = reload(told)["failing"]
    assert "its example does not fit its inputs" in str(failed["reason"])
    assert answering(told) == 1


def test_a_reload_says_what_it_did(told: Service, folder: Path) -> None:
    assert reload(told) == {"loaded": [], "dropped": [], "failing": []}
    for version in (2, 3):
        store.add(folder, biased(version))
    store.add(folder, tabular())
    (folder / "linear" / "3" / PREDICT).unlink()
    assert answering(told) == 1
    outcome = reload(told)
    assert outcome["loaded"] == [{"name": "linear", "version": 2}, {"name": "tabular", "version": 1}]
    (failed,) = outcome["failing"]
    assert (failed["name"], failed["version"]) == ("linear", 3)
    assert "predict.onnx: missing" in str(failed["reason"])
    shutil.rmtree(folder / "linear" / "1")
    assert reload(told)["dropped"] == [{"name": "linear", "version": 1}]
    assert answering(told) == 2
    gone = told.ask("/models/linear/versions/1/predict", inputs=POINT)
    assert (gone.status_code, gone.json()["detail"]) == (404, "no version 1 of linear; there is 2")
    # The model that was the only one is still the default.
    assert told.get("/models").json()["default"] == "linear"
    assert told.get("/openapi.json").json()["paths"]["/predict"]["post"]


def test_a_version_damaged_in_place_is_served_unchanged(told: Service, folder: Path) -> None:
    (folder / "linear" / "1" / PREDICT).write_bytes(b"junk")
    assert reload(told)["failing"]
    assert answering(told) == 1


def test_the_last_version_of_the_default_model_is_kept(told: Service, folder: Path) -> None:
    store.add(folder, tabular())
    reload(told)
    shutil.rmtree(folder / "linear")
    outcome = reload(told)
    assert outcome["dropped"] == []
    assert "no longer in the store" in failing(told)["linear", 1]
    assert answering(told) == 1
    shutil.rmtree(folder / "tabular")
    refused = told.client.post("/admin/reload")
    assert refused.status_code == 409
    assert "nothing has changed: " in refused.json()["detail"]
    assert "no bundle here" in refused.json()["detail"]
    shutil.rmtree(folder)
    assert "not a folder" in told.client.post("/admin/reload").json()["detail"]
    assert answering(told) == 1
    assert told.get("/models/tabular").status_code == 200


def test_models_come_and_go(told: Service, folder: Path) -> None:
    store.add(folder, tabular())
    reload(told)
    assert told.get("/models/tabular/ready").status_code == 200
    shutil.rmtree(folder / "tabular")
    reload(told)
    assert told.get("/models/tabular/ready").status_code == 404
    assert 'caveat_model_loaded{model="tabular",version="1"} 0.0' in told.get("/metrics").text


def test_the_document_shows_the_version_that_answers(told: Service, folder: Path) -> None:
    def shown() -> object:
        parameters = told.get("/openapi.json").json()["paths"]["/models/{name}/versions/{version}"]["get"]
        return parameters["parameters"][1]["example"]

    assert shown() == 1
    store.add(folder, biased(2))
    reload(told)
    assert shown() == 2
