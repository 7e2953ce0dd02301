import numpy as np
import pytest
from numpy.typing import NDArray

from models.predictor import Predictor
from models.temperature import tempered
from tests.bundles import tabular
from training.calibrate.temperature import HIGHEST, fit_temperature, most_likely_temperature


def drawn(probabilities: NDArray[np.float64], seed: int = 0) -> NDArray[np.intp]:
    """Draw a label for each row of probabilities, (B, C)."""
    uniform = np.random.default_rng(seed).random((len(probabilities), 1))
    return (uniform > probabilities.cumsum(axis=-1)[:, :-1]).sum(axis=-1)


def simulated(samples: int, rows: int, classes: int) -> NDArray[np.float32]:
    """Make passes that agree on most, (samples, rows, classes)."""
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, (1, rows, classes)) + generator.normal(0, 1.5, (samples, rows, classes))
    powers = np.exp(logits)
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("right", "stated"), [(60, 0.9), (90, 0.7), (99, 0.9)])
def test_of_equal_rows_it_is_known(right: int, stated: float) -> None:
    # At p = sigmoid(a / T) the likelihood of k right of n is greatest where p = k / n.
    passes = np.full((1, 100_000, 2), [stated, 1 - stated])
    y = np.repeat([0, 1], [1000 * right, 100_000 - 1000 * right])
    known = np.log(stated / (1 - stated)) / np.log(right / (100 - right))
    assert most_likely_temperature(passes, y) == pytest.approx(known, rel=2e-3)


def test_it_is_the_mean_over_passes_that_is_fitted() -> None:
    """Tempering the mean instead would give another answer: passes that disagree flatten it already."""
    passes = simulated(20, 400, 4)
    y = drawn(tempered(passes, 0.6).mean(axis=0))
    grid = np.geomspace(0.3, 1.2, 400)
    rows = np.arange(len(y))
    losses = [
        -np.log(tempered(passes, each).mean(axis=0)[rows, y]).sum() + np.log(each) ** 2 / 2 for each in grid
    ]
    found = most_likely_temperature(passes, y)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=5e-3)
    of_the_mean = most_likely_temperature(passes.mean(axis=0, keepdims=True), y)
    assert abs(of_the_mean / found - 1) > 0.1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_it_is_found_again_in_simulated_rows(temperature: float) -> None:
    passes = simulated(10, 20_000, 3)
    y = drawn(tempered(passes, temperature).mean(axis=0))
    assert most_likely_temperature(passes, y) == pytest.approx(temperature, rel=0.06)


def test_a_few_rows_that_are_all_right_or_all_wrong_do_not_make_it_extreme() -> None:
    passes = np.full((2, 10, 2), [0.9, 0.1])
    assert 0.3 < most_likely_temperature(passes, np.zeros(10, np.intp)) < 1
    assert 1 < most_likely_temperature(passes, np.ones(10, np.intp)) < HIGHEST


def test_many_rows_bring_it_to_its_bounds() -> None:
    passes = np.full((2, 10_000, 2), [0.9, 0.1])
    assert most_likely_temperature(passes, np.ones(10_000, np.intp)) == pytest.approx(HIGHEST)


def test_a_true_class_of_probability_zero_counts_and_does_not_break() -> None:
    passes = np.array([[[1, 0]] * 10], np.float32)
    y = np.repeat([0, 1], [9, 1])
    # A probability of 0 is taken as 2**-149: 149 ln 2 / T = ln 9.
    assert most_likely_temperature(passes, y) == pytest.approx(HIGHEST)
    assert 149 * np.log(2) / np.log(9) > HIGHEST


def test_the_served_predictor_is_what_is_fitted() -> None:
    predictor = Predictor(tabular(rate=0.3), threads=1)
    generator = np.random.default_rng(0)
    x = np.stack(
        [generator.normal(0, 60, 5000), generator.integers(0, 2, 5000), generator.normal(0, 2, 5000)]
    )
    inputs = {"x": np.ascontiguousarray(x.T, np.float32)}
    passes = np.concatenate(list(predictor.passes(inputs, 50, 0, "stratified")))
    y = drawn(tempered(passes, 1.7).mean(axis=0))
    assert fit_temperature(predictor, inputs, y, samples=50, seed=0) == pytest.approx(1.7, rel=0.1)
