"""Measures of predicted values, as normal distributions with a mean and a variance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from caveat.models.answers.uncertainty import Columns
from caveat.training.fits.mixture import log_density
from caveat.training.measures.figure import Figure, averaged, resampled

Vector = NDArray[np.float64]


def figures(mean: Vector, variance: Vector, y: Vector) -> dict[str, Figure]:
    """Evaluate means and variances (B,) on the true values (B,).

    Returns
    -------
    dict
        ``RMSE``, in the target's units; ``log likelihood`` in nats per row; ``CRPS``, the continuous ranked
        probability score, in the target's units (Gneiting & Raftery, 2007); ``sharpness``, the mean of the
        stated standard deviations, in the target's units: of two calibrated models, the sharper is better.
        Log likelihood and CRPS are missing if a variance is 0.
    """
    found = {"RMSE": resampled(rmse, mean, y)}
    if variance.min() > 0:
        found["log likelihood"] = averaged(log_density(mean[None], variance[None], y))
        found["CRPS"] = averaged(crps(mean, variance, y))
    return {**found, "sharpness": averaged(np.sqrt(variance))}


def crps(mean: Vector, variance: Vector, y: Vector) -> Vector:
    """Give each row's continuous ranked probability score, in the target's units, shape (B,).

    That is ``s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`` for a normal distribution with standard
    deviation s, where ``z = (y - mean) / s`` (Gneiting & Raftery, "Strictly proper scoring rules, prediction,
    and estimation", 2007, section 4.2).

    >>> crps(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([0.0, 1.0])).round(4)
    array([0.2337, 0.6024])
    """
    deviation = np.sqrt(variance)
    z = (y - mean) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    score: Vector = deviation * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return score


def metrics(
    answers: Columns, once: NDArray[Any], y: NDArray[Any], targets: Sequence[str] | None = None
) -> dict[str, float]:
    """Measure answers from passes, and those without dropout, on held-out rows.

    Returns
    -------
    dict
        ``rmse`` of the mean and ``deterministic_rmse``, in the target's units; ``log_likelihood`` of a row,
        in nats, under a normal distribution with the answer's mean and variance (absent if a variance is 0).
        Several targets each have their errors, such as ``rmse[price]``; the likelihood is that of all targets
        together, as independent normal distributions.
    """
    mean, variance = answers["mean"], answers["variance"]
    marks = [f"[{name}]" for name in targets] if targets else [""]
    found: dict[str, float] = {}
    for name, values in {"rmse": mean, "deterministic_rmse": once}.items():
        errors = np.atleast_1d(np.sqrt(np.square(values - y).mean(axis=0)))
        found |= {f"{name}{mark}": error for mark, error in zip(marks, errors, strict=True)}
    if variance.min() > 0:
        logs = log_density(mean[None], variance[None], y)
        found["log_likelihood"] = logs.reshape(len(y), -1).sum(axis=1).mean()
    return found


def holds(bounds: NDArray[Any], y: Vector) -> NDArray[np.bool_]:
    """Tell whether each row's bounds, shape (B, 2), hold its true value."""
    inside: NDArray[np.bool_] = (bounds[:, 0] <= y) & (y <= bounds[:, 1])
    return inside


def widths(bounds: NDArray[Any]) -> Vector:
    """Give the distance of each row's bounds, shape (B, 2)."""
    distances: Vector = bounds[:, 1] - bounds[:, 0]
    return distances


def rmse(mean: Vector, y: Vector) -> float:
    """Compute the root mean square error."""
    return float(np.sqrt(np.mean(np.square(mean - y))))


def scores(answer: Columns) -> dict[str, Vector]:
    """Give every uncertainty score of an answer, each (B,), and larger for less certain answers."""
    names = ("variance", "epistemic_variance", "aleatoric_variance")
    return {name: answer[name].astype(np.float64) for name in names}
