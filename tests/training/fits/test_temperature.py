import numpy as np
import pytest
from numpy.typing import NDArray

from caveat.models.answers.tempering import tempered
from caveat.training.fits.temperature import HIGHEST, most_likely_temperature


def drawn(probabilities: NDArray[np.float64], seed: int = 0) -> NDArray[np.intp]:
    """Draw a label for each row of probabilities, (B, C)."""
    uniform = np.random.default_rng(seed).random((len(probabilities), 1))
    labels: NDArray[np.intp] = (uniform > probabilities.cumsum(axis=-1)[:, :-1]).sum(axis=-1)
    return labels


def simulated(rows: int, classes: int) -> NDArray[np.float32]:
    """Make probabilities, (rows, classes)."""
    powers = np.exp(np.random.default_rng(1).normal(0, 3, (rows, classes)))
    probabilities: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


@pytest.mark.parametrize(("right", "stated"), [(60, 0.9), (90, 0.7), (99, 0.9)])
def test_the_temperature_of_equal_rows_equals_its_closed_form(right: int, stated: float) -> None:
    # At p = sigmoid(a / T) the likelihood of k right answers of n is greatest for p = k / n.
    probabilities = np.full((100_000, 2), [stated, 1 - stated])
    y = np.repeat([0, 1], [1000 * right, 100_000 - 1000 * right])
    known = np.log(stated / (1 - stated)) / np.log(right / (100 - right))
    assert most_likely_temperature(probabilities, y) == pytest.approx(known, rel=2e-3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_of_simulated_rows_is_recovered(temperature: float) -> None:
    probabilities = simulated(20_000, 3)
    y = drawn(tempered(probabilities, temperature))
    assert most_likely_temperature(probabilities, y) == pytest.approx(temperature, rel=0.06)


def test_a_few_rows_that_are_all_right_or_all_wrong_give_no_extreme_temperature() -> None:
    probabilities = np.full((10, 2), [0.9, 0.1])
    assert 0.3 < most_likely_temperature(probabilities, np.zeros(10, np.intp)) < 1
    assert 1 < most_likely_temperature(probabilities, np.ones(10, np.intp)) < HIGHEST


def test_many_rows_can_bring_the_temperature_to_its_bound() -> None:
    probabilities = np.full((10_000, 2), [0.9, 0.1])
    assert most_likely_temperature(probabilities, np.ones(10_000, np.intp)) == pytest.approx(HIGHEST)


def test_a_true_class_of_probability_zero_counts_as_the_smallest_float() -> None:
    probabilities = np.array([[1, 0]] * 10, np.float32)
    y = np.repeat([0, 1], [9, 1])
    # A probability of 0 is taken as 2**-149: 149 ln 2 / T = ln 9.
    assert most_likely_temperature(probabilities, y) == pytest.approx(HIGHEST)
    assert 149 * np.log(2) / np.log(9) > HIGHEST
