from typing import Any

import numpy as np
import pytest
from scipy import stats

from caveat.models.errors import CaveatError
from caveat.models.predictor import Predictor
from caveat.training.measures import classes, values
from caveat.training.metrics import held_out_metrics
from tests.bundles import linear_regression


def test_metrics_of_a_regression_equal_their_closed_form() -> None:
    bundle = linear_regression(weights=(1.0, -2.0, 3.0), bias=0.5, rate=0.01, noise_variance=4.0)
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    error = np.where(np.arange(200) % 2, 3.0, -1.0)
    y = x @ np.array([1.0, -2.0, 3.0]) + 0.5 + error
    found = held_out_metrics(Predictor(bundle, threads=1), {"x": x}, y, samples=200, seed=0)
    assert found["deterministic_rmse"] == pytest.approx(5**0.5, rel=1e-5)  # (9 + 1) / 2
    assert found["rmse"] == pytest.approx(5**0.5, rel=0.01)
    variance = 4 + 0.01 / 0.99 * ((x * [1.0, -2.0, 3.0]) ** 2).sum(axis=1)
    expected = stats.norm.logpdf(error, scale=np.sqrt(variance)).mean()
    assert found["log_likelihood"] == pytest.approx(expected, rel=0.01)


def test_each_of_several_targets_has_its_own_errors() -> None:
    mean, y = np.array([[1.0, 10.0], [2.0, 20.0]]), np.array([[1.0, 13.0], [4.0, 24.0]])
    variance = np.array([[1.0, 4.0], [2.0, 9.0]])
    found = values.metrics({"mean": mean, "variance": variance}, mean + 1, y, ("a", "b"))
    expected = {
        "rmse[a]": 2**0.5,
        "rmse[b]": 12.5**0.5,
        "deterministic_rmse[a]": 1.0,
        "deterministic_rmse[b]": 6.5**0.5,
        "log_likelihood": stats.norm.logpdf(y, mean, np.sqrt(variance)).sum() / 2,
    }
    assert found == pytest.approx(expected)


def answer(mean: list[list[float]]) -> dict[str, Any]:
    array = np.array(mean)
    entropy = -(array * np.log(array)).sum(axis=1)
    return {"mean": array, "label": array.argmax(axis=1), "predictive_entropy": entropy}


MEAN = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]]


def test_metrics_of_a_classification_equal_those_worked_out_by_hand() -> None:
    y = np.array([0, 1, 1, 0])  # the second and the fourth are wrong
    deterministic = np.array([[1.0, 0], [0, 1], [0, 1], [0, 1]])
    found = classes.metrics(answer(MEAN), deterministic, y)
    assert found["accuracy"] == 0.5
    assert found["deterministic_accuracy"] == 0.75
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.45]).mean())
    # Of the 4 pairs (wrong, right), 3 are in order: the fourth row is less certain than both right rows, the
    # second row is less certain than the first.
    assert found["error_auroc"] == 3 / 4


@pytest.mark.parametrize("y", [[0, 0, 1, 1], [1, 1, 0, 0]])
def test_auroc_is_absent_without_a_right_and_a_wrong_label(y: list[int]) -> None:
    assert "error_auroc" not in classes.metrics(answer(MEAN), np.array(MEAN), np.array(y))


@pytest.mark.parametrize(
    ("y", "accuracy", "log_loss", "error_auroc"),
    [
        ([0, 1, 0], 1.0, 0.0, None),
        ([1, 0, 1], 0.0, 103.2789, None),  # the logarithm of the smallest float32 above 0
        ([0, 1, 1], 2 / 3, 103.2789 / 3, 0.5),
        ([0, 0, 0], 2 / 3, 103.2789 / 3, 0.5),
    ],
)
def test_metrics_of_saturated_probabilities(
    y: list[int], accuracy: float, log_loss: float, error_auroc: float | None
) -> None:
    mean = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], np.float32)  # no row has the third class
    saturated = {"mean": mean, "label": mean.argmax(axis=1), "predictive_entropy": np.zeros(3, np.float32)}
    found = classes.metrics(saturated, mean, np.array(y))
    assert found.pop("error_auroc", None) == error_auroc
    expected = {"accuracy": accuracy, "deterministic_accuracy": accuracy, "log_loss": log_loss}
    assert found == pytest.approx(expected, rel=1e-6)
    assert not np.signbit(found["log_loss"])


def test_likelihood_is_absent_without_a_variance_and_infinite_answers_are_refused() -> None:
    certain = {"mean": np.array([1.0, 2.0]), "variance": np.array([0.0, 1.0])}
    assert set(values.metrics(certain, np.ones(2), np.zeros(2))) == {"rmse", "deterministic_rmse"}
    predictor = Predictor(linear_regression(weights=(3e38, 3e38, 3e38)), threads=1)
    with (
        np.errstate(all="ignore"),
        pytest.raises(CaveatError, match="mean is not finite on the held-out rows"),
    ):
        held_out_metrics(predictor, {"x": np.ones((3, 3), np.float32)}, np.zeros(3), samples=2, seed=0)
