"""What a classifier's answers are judged by: calibration, and how well a score tells strange rows apart."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, roc_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from models.uncertainty import Columns, entropy

BINS = 15

Vector = NDArray[np.float64]


def quality(probabilities: NDArray[np.floating], y: NDArray[np.integer]) -> dict[str, float]:
    """Judge probabilities (B, C) by the true classes (B,).

    Returns
    -------
    dict
        ``error``, the share of wrong labels; ``log_loss`` in nats; ``ece``, the expected calibration error
        of the label's probability in 15 bins of equal width (Guo et al., ICML 2017).
    """
    exact = scaled(probabilities)
    calibration = multiclass_calibration_error(
        torch.from_numpy(exact), torch.from_numpy(y), num_classes=exact.shape[1], n_bins=BINS, norm="l1"
    )
    return {
        "error": 1 - float(accuracy_score(y, exact.argmax(axis=-1))),
        "log_loss": float(log_loss(y, exact, labels=np.arange(exact.shape[1]))),
        "ece": float(calibration),
    }


def brier(probabilities: NDArray[np.floating], y: NDArray[np.integer]) -> float:
    """Give the mean square distance between probabilities (B, C) and the true classes (Brier, 1950).

    >>> round(brier(np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([0, 1])), 6)
    0.29
    """
    exact = scaled(probabilities)
    return float(((exact - np.eye(exact.shape[1])[y]) ** 2).sum(axis=-1).mean())


def scaled(probabilities: NDArray[np.floating]) -> Vector:
    """Take the rounding of float32 out of the sum of probabilities."""
    exact = probabilities.astype(np.float64)
    rescaled: Vector = exact / exact.sum(axis=-1, keepdims=True)
    return rescaled


def served_scores(answer: Columns) -> dict[str, Vector]:
    """Give every score that can be read from an answer of the service, each (B,) and larger for less trust.

    ``variance`` is the sum over the classes.
    """
    names = ("predictive_entropy", "expected_entropy", "mutual_information")
    return {
        **{name: answer[name].astype(np.float64) for name in names},
        "1 - max probability": doubt(answer["mean"]),
        "variance": answer["variance"].sum(axis=-1, dtype=np.float64),
    }


def deterministic_scores(probabilities: NDArray[np.floating]) -> dict[str, Vector]:
    """Give the scores that can be read from probabilities (B, C) without passes, likewise."""
    exact = scaled(probabilities)
    return {"predictive_entropy": entropy(exact), "1 - max probability": doubt(exact)}


def doubt(probabilities: NDArray[np.floating]) -> Vector:
    """Give 1 - max probability, as the sum of the others: 1 - 1e-9 has no float32 of its own.

    >>> f"{doubt(np.array([1, 1e-9, 2e-9], np.float32)):.1e}"
    '3.0e-09'
    """
    others = np.sort(probabilities.astype(np.float64), axis=-1)[..., :-1]
    total: Vector = others.sum(axis=-1)
    return total


def separation(inside: Vector, outside: Vector) -> dict[str, float]:
    """Judge a score by how well it tells outside rows, whose scores should be larger, from inside ones.

    Returns
    -------
    dict
        ``auroc``: the probability that an outside row's score is larger than an inside row's. ``fpr95``:
        the share of outside rows that pass for inside where 95 % of the inside rows do (Liang et al.,
        ICLR 2018).

    Examples
    --------
    >>> separation(np.array([1.0, 2.0, 3.0]), np.array([2.5, 4.0, 5.0, 6.0]))["fpr95"]
    0.25
    """
    is_inside = np.repeat([1, 0], [len(inside), len(outside)])
    trust = -np.concatenate([inside, outside])
    passed, kept, _ = roc_curve(is_inside, trust, drop_intermediate=False)
    return {
        "auroc": float(roc_auc_score(is_inside, trust)),
        "fpr95": float(passed[np.argmax(kept >= 0.95)]),
    }
