"""A regression with several targets, over HTTP."""

import io
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from caveat import commands
from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from tests.bundles import BIAS, WEIGHTS, calibrated, drawn, linear_targets
from tests.service.schema import conforming
from tests.service.serving import Service, serving

POINTS = [[1, 2, 0.5], [0, 0, 0.1], [-1, 0.25, 2]]
UNCERTAINTY = "/predict/uncertainty"


@pytest.fixture(scope="module")
def pair() -> Bundle:
    return calibrated(linear_targets(), rows=199)


@pytest.fixture(scope="module")
def service(pair: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("store")
    store.add(folder, pair)
    with serving(folder) as running:
        yield running


def test_a_prediction_is_one_value_per_target(service: Service) -> None:
    answer = conforming("Targets", service.ask("/predict", inputs=POINTS).json())
    np.testing.assert_allclose(answer.mean, POINTS @ WEIGHTS + BIAS, rtol=1e-6)


def test_an_answer_equals_that_of_numpy_from_raw_passes(service: Service, pair: Bundle) -> None:
    asked = {
        "coverage": 0.9,
        "quantiles": [0.1, 0.5, 0.9],
        "max_error": 0.4,
        "error_tolerance": [6, 300],
        "seed": 3,
    }
    answer = service.ask(UNCERTAINTY, inputs=POINTS, samples=60, **asked).json()
    conforming("UncertainTargets", answer)
    inputs = {"x": np.array(POINTS, np.float32)}
    passes = np.concatenate(list(Predictor(pair).passes(inputs, 60, 3, "stratified"))).astype(np.float64)
    mean, epistemic = passes.mean(axis=0), passes.var(axis=0, ddof=1)
    variance = epistemic + np.array([0.25, 400])
    np.testing.assert_allclose(answer["mean"], mean, rtol=1e-9)
    np.testing.assert_allclose(answer["epistemic_variance"], epistemic, rtol=1e-9)
    assert answer["aleatoric_variance"] == [[0.25, 400]] * 3
    np.testing.assert_allclose(answer["variance"], variance, rtol=1e-9)
    np.testing.assert_allclose(answer["standard_error"], np.sqrt(epistemic / 60), rtol=1e-9)

    rows, truth = drawn(pair.manifest, 199, 1)
    known = estimate(Predictor(pair), rows, 100, 0)
    scores = np.sort(np.abs(truth - known["mean"]) / np.sqrt(known["variance"]), axis=0)
    reach = scores[180 - 1] * np.sqrt(variance)  # 0.9 * (199 + 1) of the scores of each target
    np.testing.assert_allclose(answer["interval"], np.stack([mean - reach, mean + reach], -1), rtol=1e-9)
    units = np.array([NormalDist().inv_cdf(p) for p in (0.1, 0.5, 0.9)])
    quantiles = mean[..., None] + np.sqrt(variance)[..., None] * units
    np.testing.assert_allclose(answer["quantiles"], quantiles, rtol=1e-9)
    assert "percentile" not in answer
    assert answer["notes"]["percentile"].startswith("told only for passes like those of the calibration: 100")
    told = service.ask(UNCERTAINTY, inputs=POINTS).json()
    below = (known["variance"][None] < np.array(told["variance"])[:, None]).sum(axis=1)
    np.testing.assert_allclose(told["percentile"], 100 * (below + 0.5) / 200)
    assert np.shape(answer["abstain"]) == (3, 2)


def test_a_row_gets_the_same_answer_alone_and_in_a_batch(service: Service) -> None:
    together = service.ask(UNCERTAINTY, inputs=POINTS, coverage=0.9).json()
    for row, point in enumerate(POINTS):
        alone = service.ask(UNCERTAINTY, inputs=[point], coverage=0.9).json()
        for name in alone:
            if isinstance(alone[name], list):
                assert alone[name][0] == together[name][row], name


def test_the_worst_target_decides_when_to_stop(service: Service) -> None:
    answer = service.ask(UNCERTAINTY, inputs=POINTS, samples=2000, tolerance=6, sampler="independent").json()
    assert len(set(answer["passes"])) > 1
    for passes, errors in zip(answer["passes"], answer["standard_error"], strict=True):
        assert passes == 2000 or max(errors) <= 6


def test_arrays_hold_the_same_values_as_json(service: Service) -> None:
    told = service.ask(UNCERTAINTY, inputs=POINTS, coverage=0.9, max_error=0.4, error_tolerance=[6, 300])
    buffer = io.BytesIO()
    np.save(buffer, np.array(POINTS, np.float32))
    query = "?coverage=0.9&max_error=0.4&error_tolerance=6,300"
    headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npz"}
    send = service.client.post
    found = np.load(io.BytesIO(send(UNCERTAINTY + query, content=buffer.getvalue(), headers=headers).content))
    for name in ("mean", "variance", "interval", "percentile", "abstain"):
        np.testing.assert_array_equal(found[name], told.json()[name])
    headers["Accept"] = "application/x-npy"
    content = send("/predict", content=buffer.getvalue(), headers=headers).content
    assert np.load(io.BytesIO(content)).shape == (3, 2)


@pytest.mark.parametrize(
    ("tolerance", "got"), [(6, "one"), ([6], "1 numbers"), ([6, 7, 8], "3 numbers"), ([], "0 numbers")]
)
def test_every_target_needs_a_tolerance(service: Service, tolerance: object, got: str) -> None:
    refused = service.ask(UNCERTAINTY, inputs=POINTS, max_error=0.4, error_tolerance=tolerance)
    assert refused.status_code == 422
    assert refused.json()["detail"] == f"error_tolerance: expected 2 numbers, for small, large, got {got}"


def test_the_model_and_the_document_describe_all_targets(service: Service) -> None:
    model = service.get("/models/pair").json()
    assert (model["target"], model["targets"]) == (None, ["small", "large"])
    assert model["noise_variance"] == [0.25, 400]
    assert model["output"] == ["rows", 2]
    paths = service.get("/openapi.json").json()["paths"]
    for path, schema in (("/predict", "Targets"), (UNCERTAINTY, "UncertainTargets")):
        answer = paths[path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer == {"$ref": f"#/components/schemas/{schema}"}
        example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert service.ask(path, **example).status_code == 200


def test_a_table_has_a_line_for_each_target(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "request.json"
    path.write_text('{"inputs": [[0, 0, 0], [0, 0, 0]], "coverage": 0.9, "tolerance": 1}')
    assert commands.main(["predict", str(path), "--url", service.url]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "pair version 1, 100 passes, seed 0"
    *lines, note = lines
    assert note.startswith("percentile: told only for passes like those of the calibration")
    cells = [line.split()[:3] for line in lines]
    assert cells[0] == ["row", "target", "mean"]
    assert cells[1:] == [[row, *of] for row in "01" for of in (("small", "0.5"), ("large", "1000"))]
    assert {"passes", "interval"} <= set(lines[0].split())
    assert commands.main(["predict", str(path), "--url", service.url, "--deterministic"]) == 1
    np.save(tmp_path / "rows.npy", np.zeros((1, 3), np.float32))
    capsys.readouterr()
    assert (
        commands.main(["predict", str(tmp_path / "rows.npy"), "--url", service.url, "--deterministic"]) == 0
    )
    assert capsys.readouterr().out.splitlines()[1:] == [
        "row  target  mean",
        "  0  small    0.5",
        "  0  large   1000",
    ]
