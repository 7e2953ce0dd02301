import dataclasses

import numpy as np
import onnx
import pytest

from models import calibration
from models.bundle import PASSES, Bundle
from models.cohort import estimate
from models.errors import CaveatError
from models.predictor import Predictor
from models.store import BUNDLED, find, load
from models.temperature import tempered as tempered_numbers
from tests.bundles import drawn, linear_regression, tabular
from training.calibrate import calibrate
from training.calibrate.tempered import tempered
from training.data.bundled import BUNDLED as DATA
from training.data.dataset import split

DIGITS = load(find(BUNDLED / "digits"))
DATASET = DATA["digits"]()
INPUTS, Y = DATASET.fed(split(DATASET, 0.2, 1).test)


def passes(bundle: Bundle, rows: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(Predictor(bundle).passes(rows, 20, 0)))


@pytest.mark.parametrize("bundle", [DIGITS, tabular()], ids=["ends in a softmax", "does not"])
def test_a_tempered_graph_answers_with_tempered_probabilities(bundle: Bundle) -> None:
    rows = {"x": drawn(tabular().manifest, 50, 0)[0]["x"]} if bundle is not DIGITS else dict(INPUTS)
    before = passes(bundle, rows)
    graph = tempered(bundle.files[PASSES], 0.7)
    onnx.checker.check_model(onnx.load_model_from_string(graph))
    after = dataclasses.replace(bundle, files={**bundle.files, PASSES: graph})
    np.testing.assert_allclose(passes(after, rows), tempered_numbers(before, 0.7), atol=1e-6)
    twice = dataclasses.replace(bundle, files={**bundle.files, PASSES: tempered(graph, 2.0)})
    np.testing.assert_allclose(passes(twice, rows), tempered_numbers(before, 1.4), atol=1e-6)
    assert len(twice.files[PASSES]) == len(graph)


def test_a_classification_becomes_more_likely_and_keeps_its_labels() -> None:
    found = calibrate(DIGITS, INPUTS, Y)
    facts = found.manifest.calibration
    assert facts
    assert facts.rows == len(Y)
    assert facts.temperature
    before, after = (estimate(Predictor(bundle), INPUTS, 100, 0) for bundle in (DIGITS, found))
    losses = [-np.log(answer["mean"][np.arange(len(Y)), Y]).mean() for answer in (before, after)]
    assert losses[1] < losses[0]
    assert (before["label"] == after["label"]).mean() > 0.99
    np.testing.assert_array_equal(Predictor(DIGITS).predict(INPUTS), Predictor(found).predict(INPUTS))


def test_to_calibrate_again_finds_the_same() -> None:
    once = calibrate(DIGITS, INPUTS, Y)
    twice = calibrate(once, INPUTS, Y)
    assert once.manifest.calibration
    assert twice.manifest.calibration
    assert twice.manifest.calibration.temperature == pytest.approx(
        once.manifest.calibration.temperature, rel=0.05
    )


def test_a_regression_gets_its_noise() -> None:
    bundle = linear_regression(rate=0.1, noise_variance=1.0)
    inputs, truth = drawn(bundle.manifest, 3000, 0)
    found = calibrate(bundle, inputs, truth)
    predictor = Predictor(found)
    assert predictor.calibration
    columns = estimate(predictor, inputs, 100, 0)
    assert columns["variance"].mean() == pytest.approx(9, rel=0.1)  # that of the truths around the answers
    low, high = predictor.calibration.interval(columns, 0.9).T
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(0.9, abs=0.001)


def test_the_arrays_are_those_of_the_rows() -> None:
    found = calibrate(DIGITS, INPUTS, Y, samples=50, seed=3)
    answer = estimate(Predictor(found), INPUTS, 50, 3)
    read = Predictor(found).calibration
    assert read
    ranks = np.argsort(np.argsort(answer["predictive_entropy"], kind="stable"), kind="stable")
    order = np.argsort(read.percentile(answer), kind="stable")
    assert np.array_equal(ranks[order], np.arange(len(Y)))
    assert found.manifest.files[calibration.FILE].bytes == len(found.files[calibration.FILE])


def test_what_can_not_be_calibrated_on_is_refused() -> None:
    few = {name: array[:19] for name, array in INPUTS.items()}
    with pytest.raises(CaveatError, match="19 rows to calibrate on; at least 20"):
        calibrate(DIGITS, few, Y[:19])
    kept = Y != 3
    without = {name: array[kept] for name, array in INPUTS.items()}
    with pytest.raises(CaveatError, match="no row of the class '3'"):
        calibrate(DIGITS, without, Y[kept], by_class=True)


def test_sets_by_class_hold_the_truth_in_every_class() -> None:
    bundle = calibrate(DIGITS, INPUTS, Y, by_class=True)
    predictor = Predictor(bundle)
    assert predictor.calibration
    assert predictor.calibration.highest_coverage < 0.98
    held = predictor.calibration.prediction_set(estimate(predictor, INPUTS, 100, 0), 0.9)
    for digit in range(10):
        assert held[digit == Y, digit].mean() >= 0.9
