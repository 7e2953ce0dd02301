"""The law that passes predict together: a mixture of one normal for each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor, row_blocks

Array = NDArray[np.float64]

FACTORS = np.geomspace(1 / 64, 64, 97)
"""Factors on a predicted noise that are looked at, an eighth of an octave apart."""


def log_density(means: Array, variances: Array, y: Array) -> Array:
    """Log-density of each row's target, in nats, under the normals of its passes in equal parts.

    What Gal & Ghahramani score ("Dropout as a Bayesian approximation", ICML 2016, eq. 8).

    Parameters
    ----------
    means, variances
        Of each pass, shape (N, B), of T targets (N, B, T), or what broadcasts to it.
    y
        Shape (B,), or (B, T).

    Returns
    -------
    NDArray
        Shape (B,), or (B, T).

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

    The variances are learned under dropout, so that they hold some of the passes' own disagreement, and
    on training rows, whose residuals are smaller than others'. One factor for all rows, within 1/64 and
    64, makes up for both, much as a temperature does for classes (Guo et al., "On calibration of modern
    neural networks", ICML 2017).

    Parameters
    ----------
    predictor
        One that answers with means and variances.
    inputs, y
        Raw rows and their targets, shape (B,), or (B, T).

    Returns
    -------
    NDArray
        The factor that makes the targets most likely, to a twentieth of itself; shape (), or (T,).
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
    """Sum the rows' log-densities, in nats, with their variances times each of the F factors.

    Returns
    -------
    NDArray
        Shape (F,), or (F, T).
    """
    return np.array([log_density(means, variances * factor, y).sum(axis=0) for factor in FACTORS])


def likeliest(log_likelihoods: Array) -> Array:
    """Tell which of `FACTORS` makes targets most likely."""
    return np.asarray(FACTORS[log_likelihoods.argmax(axis=0)])
