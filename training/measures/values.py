"""Measures of predicted values, as normal distributions with a mean and a variance."""

import numpy as np
from numpy.typing import NDArray
from scoringrules import crps_normal

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
    deviation = np.sqrt(variance)
    found = {"RMSE": resampled(rmse, mean, y)}
    if variance.min() > 0:
        found["log likelihood"] = averaged(log_density(mean[None], variance[None], y))
        found["CRPS"] = averaged(np.asarray(crps_normal(y, mean, deviation)))
    return {**found, "sharpness": averaged(deviation)}


def rmse(mean: Vector, y: Vector) -> float:
    """Compute the root mean square error."""
    return float(np.sqrt(np.mean(np.square(mean - y))))


def scores(answer: Columns) -> dict[str, Vector]:
    """Give every uncertainty score of an answer, each (B,), and larger for less certain answers."""
    names = ("variance", "epistemic_variance", "aleatoric_variance")
    return {name: answer[name].astype(np.float64) for name in names}
