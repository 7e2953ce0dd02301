"""The noise of a regression's target: the variance of the residuals beyond the epistemic variance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor

Vector = NDArray[np.float64]

_GRID = 200  # points at which the likelihood is evaluated, before the interval around the best is bisected
_BISECTIONS = 60


def fit_noise(
    predictor: Predictor, inputs: Inputs, y: NDArray[Any], samples: int, seed: int
) -> float | tuple[float, ...]:
    """Fit the constant noise variance on held-out rows, for the predictor that will serve.

    Returns
    -------
    float or tuple
        Noise variance in the target's units squared; one for each of several targets.
    """
    answer = estimate(predictor, inputs, samples, seed)
    residual = y - answer["mean"].astype(np.float64)
    epistemic = answer["epistemic_variance"].astype(np.float64)
    if y.ndim == 1:
        return most_likely_noise(residual, epistemic)
    return tuple(map(most_likely_noise, residual.T, epistemic.T))


def most_likely_noise(residual: Vector, epistemic_variance: Vector) -> float:
    """Find the noise variance, 0 or more, that makes the residuals most likely.

    Each residual is assumed to be normal with mean 0 and variance ``epistemic_variance + noise``. Every
    maximum of the likelihood then lies between the least and the greatest of
    ``residual**2 - epistemic_variance``; outside this interval, all terms of the slope have the same sign.

    Parameters
    ----------
    residual
        Residuals in the target's units, shape (B,).
    epistemic_variance
        Epistemic variance of each row, 0 or more, in the target's units squared, shape (B,).

    Examples
    --------
    With one epistemic variance for all rows, the noise is the mean square less that variance:

    >>> round(most_likely_noise(np.array([1.0, 3.0]), np.array([2.0, 2.0])), 9)
    3.0
    """
    square = residual * residual
    highest = float((square - epistemic_variance).max())
    if highest <= 0:
        return 0.0
    grid = np.concatenate([[0.0], np.geomspace(highest * 1e-6, highest, _GRID)])
    costs = np.array([_cost(noise, square, epistemic_variance) for noise in grid])
    best = int(costs.argmin())
    if best == 0 and _slope(0.0, square, epistemic_variance) >= 0:
        return 0.0
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _GRID)]
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _slope(middle, square, epistemic_variance) < 0:
            low = middle
        else:
            high = middle
    return float((low + high) / 2)


def _cost(noise: float, square: Vector, epistemic_variance: Vector) -> float:
    """Twice the negative log-likelihood per row, up to a constant; infinite where it is not defined."""
    variance = epistemic_variance + noise
    if variance.min() <= 0:
        return float("inf")
    return float((np.log(variance) + square / variance).mean())


def _slope(noise: float, square: Vector, epistemic_variance: Vector) -> float:
    """Slope of `_cost` in the noise."""
    variance = epistemic_variance + noise
    return float(((variance - square) / variance**2).mean())
