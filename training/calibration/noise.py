"""The noise of a regression's target: what stays unexplained when the network's own doubt is allowed for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor

Vector = NDArray[np.float64]

_GRID = 200  # points at which the likelihood is looked at, before its best stretch is bisected
_BISECTIONS = 60


def fit_noise(
    predictor: Predictor, inputs: Inputs, y: NDArray[Any], samples: int, seed: int
) -> float | tuple[float, ...]:
    """Fit the constant noise variance on held-out rows, for the predictor that will serve.

    Returns
    -------
    float or tuple
        In the target's units squared; of several targets one for each.
    """
    answer = estimate(predictor, inputs, samples, seed)
    residual = y - answer["mean"].astype(np.float64)
    doubt = answer["epistemic_variance"].astype(np.float64)
    if y.ndim == 1:
        return most_likely_noise(residual, doubt)
    return tuple(map(most_likely_noise, residual.T, doubt.T))


def most_likely_noise(residual: Vector, epistemic_variance: Vector) -> float:
    """Find the noise variance, 0 or more, that makes the residuals most likely.

    Each residual is taken as normal around 0 with variance ``epistemic_variance + noise``. Every
    maximum of the likelihood then lies between the least and the greatest of
    ``residual**2 - epistemic_variance``; outside, all terms of its slope have one sign.

    Parameters
    ----------
    residual
        Shape (B,), in the target's units.
    epistemic_variance
        Shape (B,), 0 or more, in the target's units squared.

    Examples
    --------
    With one epistemic variance for all rows the answer is the mean square less that variance:

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
