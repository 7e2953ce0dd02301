import numpy as np
import pytest
from numpy.typing import ArrayLike

from caveat.models.predictor import Predictor
from caveat.training.fits.noise import fit_noise, most_likely_noise
from tests.bundles import linear_regression


def noise(residual: ArrayLike, epistemic_variance: ArrayLike) -> float:
    return most_likely_noise(np.asarray(residual, float), np.asarray(epistemic_variance, float))


def test_without_epistemic_variance_the_noise_is_the_mean_square() -> None:
    assert noise([1, -2, 3, -4], [0, 0, 0, 0]) == pytest.approx(30 / 4)


def test_an_equal_epistemic_variance_of_all_rows_is_subtracted() -> None:
    assert noise([1, -2, 3, -4], [2, 2, 2, 2]) == pytest.approx(30 / 4 - 2)


def test_no_noise_is_left_if_the_epistemic_variance_explains_the_residuals() -> None:
    assert noise([1, -1], [2, 2]) == 0  # every square is smaller than the variance
    assert noise([1, 2], [3, 3]) == 0  # the mean square is smaller, but not every square
    assert noise([0, 0], [0, 0]) == 0


def test_the_slope_vanishes_for_unequal_epistemic_variances() -> None:
    # With v = noise: (v - 1) / v**2 + (v + 4 - 9) / (v + 4)**2 = 0 has its only root above 0 at
    # 2 v**3 + 2 v**2 + 8 v - 16 = 0, which is about 1.203.
    root = max(r.real for r in np.roots([2, 2, 8, -16]) if abs(r.imag) < 1e-12)
    assert noise([1, 3], [0, 4]) == pytest.approx(root)


def test_the_higher_of_two_peaks_wins() -> None:
    # 10 rows of small residuals without epistemic variance, and a huge residual: the likelihood has a peak
    # near the noise of the small residuals, and may have another far above; a fine grid finds the higher one.
    residual = np.array([0.1] * 10 + [30.0, 0.0])
    epistemic = np.array([0.0] * 10 + [1.0, 900.0])
    candidates = np.geomspace(1e-4, 2000, 200_000)[:, None]
    cost = (np.log(candidates + epistemic) + residual**2 / (candidates + epistemic)).mean(axis=1)
    assert noise(residual, epistemic) == pytest.approx(candidates[cost.argmin(), 0], rel=1e-3)


def test_the_noise_of_simulated_rows_is_recovered() -> None:
    generator = np.random.default_rng(0)
    epistemic = generator.uniform(0, 4, size=20_000)
    residual = generator.normal(0, np.sqrt(epistemic + 2.5))
    # The Fisher information of the noise is the sum of 1 / (2 variance**2).
    error = (1 / (2 * (epistemic + 2.5) ** 2)).sum() ** -0.5
    assert noise(residual, epistemic) == pytest.approx(2.5, abs=4 * error)


def test_the_noise_is_fitted_through_the_served_predictor() -> None:
    predictor = Predictor(linear_regression(weights=(1.0, -2.0, 3.0), bias=0.5, rate=0.5), threads=1)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2000, 3)).astype(np.float32)
    y = x @ np.array([1.0, -2.0, 3.0]) + 0.5
    epistemic = ((x * [1.0, -2.0, 3.0]) ** 2).sum(axis=1)  # p / (1 - p) of the squares, for p = 0.5
    y = y + generator.normal(0, np.sqrt(epistemic + 4.0))
    assert fit_noise(predictor, {"x": x}, y, samples=400, seed=0) == pytest.approx(4.0, rel=0.15)
