"""Decisions of a calibrated model, over HTTP: intervals, prediction sets, abstention."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from caveat import commands
from caveat.models.bundles import store
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from tests.bundles import TEMPERATURE, calibrated, drawn, linear_regression, tabular
from tests.service.serving import Service, serving

LINEAR = calibrated(linear_regression(), rows=199)
TABULAR = calibrated(tabular(), rows=400)
VALUES = "/models/linear/predict/uncertainty"
CLASSES = "/models/tabular/predict/uncertainty"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("store")
    for bundle in (LINEAR, TABULAR):
        store.add(folder, bundle)
    with serving(folder) as running:
        yield running


def rows() -> list[dict[str, object]]:
    """Make two rows with the bundle's features."""
    features = TABULAR.manifest.inputs[0].features or ()
    first: dict[str, object] = {each.name: each.categories[0] if each.categories else 1 for each in features}
    return [first, {**first, features[0].name: 90}]


def test_an_interval_equals_that_of_numpy(service: Service) -> None:
    inputs, truth = drawn(LINEAR.manifest, 199, 1)
    known = estimate(Predictor(LINEAR), inputs, 100, 0)
    scores = np.sort(np.abs(truth - known["mean"]) / np.sqrt(known["variance"]))
    asked = {"coverage": 0.9, "quantiles": [0.1, 0.5], "max_error": 0.2, "error_tolerance": 6}
    answer = service.ask(VALUES, inputs=[[1, 2, 0.5], [0, 0, 0.1]], **asked).json()
    mean, spread = np.array(answer["mean"]), np.sqrt(answer["variance"])
    reach = scores[180 - 1] * spread  # 0.9 * (199 + 1) of the scores
    np.testing.assert_allclose(answer["interval"], np.stack([mean - reach, mean + reach], 1), rtol=1e-12)
    unit = NormalDist().inv_cdf(0.1)
    np.testing.assert_allclose(answer["quantiles"], np.stack([mean + unit * spread, mean], 1), rtol=1e-12)
    below = (known["variance"][None, :] < np.array(answer["variance"])[:, None]).sum(1)
    np.testing.assert_allclose(answer["percentile"], 100 * (below + 0.5) / 200)
    assert {type(each) for each in answer["abstain"]} == {bool}


def test_a_prediction_set_holds_names_of_classes(service: Service) -> None:
    answer = service.ask(CLASSES, inputs=rows(), coverage=0.95, max_error=0.45).json()
    assert [set(each) <= {"no", "yes"} for each in answer["prediction_set"]] == [True, True]

    def probabilities(mean: np.ndarray) -> np.ndarray:
        powers = np.asarray(mean, np.float64) ** (1 / TEMPERATURE)
        tempered: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
        return tempered

    inputs, truth = drawn(TABULAR.manifest, 400, 1)
    known = probabilities(estimate(Predictor(TABULAR), inputs, 100, 0)["mean"])
    reach = np.sort(1 - known[np.arange(400), truth])[381 - 1]  # 0.95 * (400 + 1), rounded up
    expected = probabilities(answer["mean"])
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-6)
    for held, row in zip(answer["prediction_set"], expected, strict=True):
        assert held == [name for name, each in zip(("no", "yes"), row, strict=True) if 1 - each <= reach]
    assert len(answer["abstain"]) == len(answer["percentile"]) == 2


def test_a_table_shows_intervals_and_sets(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for route, inputs, field in (
        (VALUES, [[1, 2, 0.5]], "interval"),
        (CLASSES, rows()[:1], "prediction_set"),
    ):
        request = {"inputs": inputs, "coverage": 0.9}
        (tmp_path / "request.json").write_text(json.dumps(request))
        told = service.ask(route, **request).json()[field][0]
        model = route.split("/")[2]
        file = str(tmp_path / "request.json")
        assert commands.main(["predict", file, "--url", service.url, "--model", model]) == 0
        texts = [each if isinstance(each, str) else f"{each:.4g}" for each in told]
        assert " ".join(texts) in capsys.readouterr().out.splitlines()[2]


def test_arrays_hold_the_same_values_as_json(service: Service) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[1, 2, 0.5]], np.float32))
    query = "?coverage=0.9&quantiles=0.1,0.5"
    headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npz"}
    content = service.client.post(VALUES + query, content=buffer.getvalue(), headers=headers).content
    found = np.load(io.BytesIO(content))
    told = service.ask(VALUES, inputs=[[1, 2, 0.5]], coverage=0.9, quantiles=[0.1, 0.5]).json()
    for name in ("interval", "quantiles", "percentile"):
        np.testing.assert_array_equal(found[name], told[name])


@pytest.mark.parametrize(
    ("route", "asked", "where"),
    [
        (VALUES, {"coverage": 0.996}, "coverage"),
        (VALUES, {"coverage": 1.0}, "coverage"),
        (VALUES, {"max_error": 0.1}, "error_tolerance"),
        (VALUES, {"max_error": 0.0001, "error_tolerance": 1}, "max_error"),
        (VALUES, {"error_tolerance": 1}, "max_error"),
        (VALUES, {"quantiles": [0.5, 1.5]}, "quantiles"),
        (VALUES, {"quantiles": [0.5] * 101}, "quantiles"),
        (CLASSES, {"quantiles": [0.5]}, "quantiles"),
        (CLASSES, {"max_error": 0.45, "error_tolerance": 1}, "error_tolerance"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(
    service: Service, route: str, asked: dict[str, object], where: str
) -> None:
    inputs = [[1, 2, 3]] if route is VALUES else rows()
    refused = service.ask(route, inputs=inputs, **asked)
    assert refused.status_code == 422
    assert refused.json()["where"] == where


def test_a_model_says_whether_it_is_calibrated(service: Service, bundles: Path) -> None:
    assert service.get("/models/linear").json()["calibration"]["rows"] == 199
    assert service.get("/models/linear").json()["calibration_missing"] is None
    with serving(bundles) as bare:
        told = bare.get("/models/linear").json()
        assert told["calibration"] is None
        assert "caveat calibrate" in told["calibration_missing"]
        answer = bare.ask(VALUES, inputs=[[1, 2, 3]])
        assert "percentile" not in answer.json()
        refused = bare.ask(VALUES, inputs=[[1, 2, 3]], coverage=0.9)
        assert refused.status_code == 422
        assert "no calibration" in refused.json()["detail"]
