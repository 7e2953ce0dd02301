"""Measures of a classifier's answers, as in `caveat evaluate`, without their errors over rows."""

import numpy as np
from numpy.typing import NDArray

from caveat.training.measures.calibration_error import ece
from caveat.training.measures.classes import Vector, brier, log_likelihoods, scaled
from caveat.training.measures.separation import auroc, fpr95, joined


def quality(probabilities: NDArray[np.floating], y: NDArray[np.integer]) -> dict[str, float]:
    """Evaluate probabilities (B, C) on the true classes (B,).

    Returns
    -------
    dict
        ``error``, the fraction of wrong labels; ``log_loss`` in nats; ``ece``, the expected calibration error
        of the label's probability in 15 bins of equal width (Guo et al., ICML 2017); ``brier``, the mean
        squared distance from the one-hot truth (Brier 1950).
    """
    exact = scaled(probabilities)
    return {
        "error": float((exact.argmax(axis=-1) != y).mean()),
        "log_loss": float(-log_likelihoods(exact, y).mean()),
        "ece": ece(exact, y),
        "brier": float(brier(exact, y).mean()),
    }


def separation(inside: Vector, outside: Vector) -> dict[str, float]:
    """Measure how well a score separates outside rows, whose scores should be larger, from inside rows."""
    rows = joined(inside, outside)
    return {"auroc": auroc(*rows), "fpr95": fpr95(*rows)}
