"""The predictive distribution of several passes: a mixture of one normal distribution for each pass."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor, row_blocks

Array = NDArray[np.float64]

FACTORS = np.geomspace(1 / 64, 64, 97)
"""Factors on a predicted noise that are tried, an eighth of an octave apart."""


def log_density(means: Array, variances: Array, y: Array) -> Array:
    """Log-density of each row's target, in nats, under the mixture of its passes with equal weights.

    This is the score of Gal & Ghahramani ("Dropout as a Bayesian approximation", ICML 2016, eq. 8).

    Parameters
    ----------
    means, variances
        Mean and variance of each pass, shape (N, B), or (N, B, T) for T targets, or broadcastable to it.
    y
        Targets, shape (B,), or (B, T).

    Returns
    -------
    NDArray
        Log-densities, shape (B,), or (B, T).

    Examples
    --------
    >>> log_density(np.zeros((2, 1)), np.ones((2, 1)), np.zeros(1)).round(4)
    array([-0.9189])
    """
    logs = -0.5 * (np.log(2 * np.pi * variances) + (y - means) ** 2 / variances)
    highest = logs.max(axis=0)
    density: Array = highest + np.log(np.exp(logs - highest).mean(axis=0))
    return density


def fit_factor(predictor: Predictor, inputs: Inputs, y: NDArray[Any], samples: int, seed: int) -> Array:
    """Fit a factor on the variances that a network predicts, on held-out rows.

    The variances are learned under dropout, so that they include some of the disagreement of the passes,
    and on training rows, whose residuals are smaller than those of other rows. One factor for all rows,
    from 1/64 to 64, corrects both, as a temperature does for classes (Guo et al., "On calibration of
    modern neural networks", ICML 2017).

    Parameters
    ----------
    predictor
        Predictor of a network that predicts means and variances.
    inputs, y
        Raw rows and their targets, shape (B,), or (B, T).
    samples, seed
        Number of passes over each row, and their seed.

    Returns
    -------
    NDArray
        The factor in `FACTORS` that makes the targets most likely, to within 5 %; shape (), or (T,).
    """
    total = np.zeros((len(FACTORS), *y.shape[1:]))
    start = 0
    for block in row_blocks(inputs, predictor.rows_at_once(inputs, samples)):
        made = np.concatenate(list(predictor.passes(block, samples, seed, "stratified"))).astype(np.float64)
        stop = start + made.shape[1]
        total += log_likelihoods(made[..., 0], made[..., 1], y[start:stop])
        start = stop
    return likeliest(total)


def log_likelihoods(means: Array, variances: Array, y: Array) -> Array:
    """Sum the rows' log-densities, in nats, with the variances multiplied by each of the F factors.

    Parameters
    ----------
    means, variances, y
        See `log_density`.

    Returns
    -------
    NDArray
        Sums over rows, shape (F,), or (F, T).
    """
    return np.array([log_density(means, variances * factor, y).sum(axis=0) for factor in FACTORS])


def likeliest(log_likelihoods: Array) -> Array:
    """Give the factor in `FACTORS` with the highest log-likelihood, shape (), or (T,)."""
    return np.asarray(FACTORS[log_likelihoods.argmax(axis=0)])
