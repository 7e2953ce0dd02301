"""Measures of predicted values, each taken for a normal law with a mean and a variance."""

import numpy as np
from numpy.typing import NDArray
from scoringrules import crps_normal

from caveat.models.answers.uncertainty import Columns
from caveat.training.calibration.mixture import log_density
from caveat.training.evaluation.figure import Figure, averaged, resampled

Vector = NDArray[np.float64]


def figures(mean: Vector, variance: Vector, y: Vector) -> dict[str, Figure]:
    """Judge means and variances (B,) by the true values (B,).

    Returns
    -------
    dict
        ``RMSE``, in the target's units; ``log likelihood`` in nats a row; ``CRPS``, the continuous ranked
        probability score, in the target's units (Gneiting & Raftery, 2007); ``sharpness``, the mean standard
        deviation that is stated, in the same: of two that are calibrated, the smaller is better.
    """
    deviation = np.sqrt(variance)
    found = {"RMSE": resampled(rmse, mean, y)}
    if variance.min() > 0:
        found["log likelihood"] = averaged(log_density(mean[None], variance[None], y))
        found["CRPS"] = averaged(np.asarray(crps_normal(y, mean, deviation)))
    return {**found, "sharpness": averaged(deviation)}


def rmse(mean: Vector, y: Vector) -> float:
    """Root of the mean square error."""
    return float(np.sqrt(np.mean(np.square(mean - y))))


def scores(answer: Columns) -> dict[str, Vector]:
    """Give every score that an answer of the service has, each (B,) and larger for less trust."""
    names = ("variance", "epistemic_variance", "aleatoric_variance")
    return {name: answer[name].astype(np.float64) for name in names}
