"""What a classifier's answers are judged by, as `caveat evaluate` does, without the errors over rows."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss

from training.judge.classes import Vector, ece, scaled
from training.judge.separation import auroc, fpr95


def quality(probabilities: NDArray[np.floating], y: NDArray[np.integer]) -> dict[str, float]:
    """Judge probabilities (B, C) by the true classes (B,).

    Returns
    -------
    dict
        ``error``, the share of wrong labels; ``log_loss`` in nats; ``ece``, the expected calibration error
        of the label's probability in 15 bins of equal width (Guo et al., ICML 2017).
    """
    exact = scaled(probabilities)
    return {
        "error": 1 - float(accuracy_score(y, exact.argmax(axis=-1))),
        "log_loss": float(log_loss(y, exact, labels=np.arange(exact.shape[1]))),
        "ece": ece(exact, y),
    }


def brier(probabilities: NDArray[np.floating], y: NDArray[np.integer]) -> float:
    """Give the mean squared distance of probabilities (B, C) from certainty of the true class (Brier 1950).

    >>> round(brier(np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([0, 1])), 2)
    0.29
    """
    exact = scaled(probabilities)
    return float(np.square(exact - np.eye(exact.shape[1])[y]).sum(axis=-1).mean())


def separation(inside: Vector, outside: Vector) -> dict[str, float]:
    """Judge a score by how well it tells outside rows, whose scores should be larger, from inside ones."""
    is_inside = np.repeat([True, False], [len(inside), len(outside)])
    trust = -np.concatenate([inside, outside])
    return {"auroc": auroc(is_inside, trust), "fpr95": fpr95(is_inside, trust)}
