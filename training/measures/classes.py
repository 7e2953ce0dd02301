"""Measures of class probabilities.

What is slow to import is imported where it is used: an export measures nothing.
"""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns, entropy
from caveat.training.measures.figure import Figure, averaged, resampled
from caveat.training.measures.risks import aurc

BINS: Final = 15

Vector = NDArray[np.float64]


def figures(probabilities: NDArray[Any], y: NDArray[np.integer]) -> dict[str, Figure]:
    """Evaluate probabilities (B, C) on the true classes (B,).

    Returns
    -------
    dict
        ``accuracy``; ``log likelihood`` in nats per row; ``Brier score``, the squared distance to the truth
        (0 to 2; Brier 1950); ``ECE`` and ``adaptive ECE``, the expected calibration error of the label's
        probability in 15 bins of equal width (Guo et al., ICML 2017) and of equal numbers of rows (Nguyen &
        O'Connor, EMNLP 2015); ``AURC``, the area under the curve of error rate against coverage, when the
        most certain answers are given (Geifman, Uziel & El-Yaniv, ICLR 2019); ``AUROC of errors``, how well
        1 - the label's probability separates wrong from right answers, NaN if all are wrong or all right.
    """
    exact = scaled(probabilities)
    rows = np.arange(len(y))
    wrong = exact.argmax(axis=-1) != y
    least = np.finfo(np.float32).smallest_subnormal
    return {
        "accuracy": averaged(~wrong),
        "log likelihood": averaged(np.log(np.maximum(exact[rows, y], least))),
        "Brier score": averaged(brier(exact, y)),
        "ECE": resampled(ece, exact, y),
        "adaptive ECE": resampled(adaptive_ece, exact.max(axis=-1), wrong),
        "AURC": resampled(aurc, least_confidence(probabilities), wrong),
        "AUROC of errors": resampled(error_auroc, least_confidence(probabilities), wrong),
    }


def metrics(answers: Columns, once: NDArray[Any], y: NDArray[Any]) -> dict[str, float]:
    """Measure answers from passes, and those without dropout, on held-out rows.

    Returns
    -------
    dict
        ``accuracy`` of the mean over passes and ``deterministic_accuracy`` without dropout; ``log_loss`` of
        the mean, in nats; ``error_auroc``, how well the predictive entropy separates wrong from right labels
        (1 perfectly, 0.5 by chance; absent if all are right or all wrong).
    """
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    wrong = answers["label"] != y
    found = {
        "accuracy": accuracy_score(y, answers["label"]),
        "deterministic_accuracy": accuracy_score(y, once.argmax(axis=-1)),
        "log_loss": log_loss(y, answers["mean"], labels=np.arange(once.shape[1])),
    }
    if 0 < wrong.sum() < len(wrong):
        found["error_auroc"] = roc_auc_score(wrong, answers["predictive_entropy"])
    return found


def brier(probabilities: Vector, y: NDArray[np.integer]) -> Vector:
    """Give the squared distance of each row's probabilities from the one-hot truth, shape (B,).

    >>> brier(np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([0, 1])).round(2)
    array([0.08, 0.5 ])
    """
    distances: Vector = np.square(probabilities - np.eye(probabilities.shape[1])[y]).sum(axis=-1)
    return distances


def ece(probabilities: Vector, y: NDArray[np.integer]) -> float:
    """Give the expected calibration error in bins of equal width."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    return float(
        multiclass_calibration_error(
            torch.from_numpy(probabilities),
            torch.from_numpy(y),
            num_classes=probabilities.shape[1],
            n_bins=BINS,
            norm="l1",
        )
    )


def adaptive_ece(confidence: Vector, wrong: NDArray[np.bool_]) -> float:
    """Give the expected calibration error in bins of equal numbers of rows.

    >>> round(adaptive_ece(np.full(30, 0.9), np.arange(30) < 6), 3)
    0.26
    """
    order = np.argsort(confidence, kind="stable")
    gaps = [
        abs((~wrong[rows]).mean() - confidence[rows].mean()) * len(rows)
        for rows in np.array_split(order, BINS)
        if len(rows)
    ]
    return float(sum(gaps) / len(confidence))


def error_auroc(uncertainty: Vector, wrong: NDArray[np.bool_]) -> float:
    """Give the AUROC of wrong against right answers by uncertainty; NaN if all are wrong or all right."""
    from sklearn.metrics import roc_auc_score

    if wrong.all() or not wrong.any():
        return float("nan")
    return float(roc_auc_score(wrong, uncertainty))


def scores(answer: Columns) -> dict[str, Vector]:
    """Give every uncertainty score of an answer, each (B,), and larger for less certain answers.

    ``variance`` is the sum over the classes.
    """
    names = ("predictive_entropy", "expected_entropy", "mutual_information")
    return {
        **{name: answer[name].astype(np.float64) for name in names},
        "1 - max probability": least_confidence(answer["mean"]),
        "variance": answer["variance"].sum(axis=-1, dtype=np.float64),
    }


def deterministic_scores(probabilities: NDArray[Any]) -> dict[str, Vector]:
    """Give every uncertainty score of probabilities (B, C) without passes; see `scores`."""
    exact = scaled(probabilities)
    return {"predictive_entropy": entropy(exact), "1 - max probability": least_confidence(exact)}


def scaled(probabilities: NDArray[Any]) -> Vector:
    """Rescale float32 probabilities to a sum of 1 in float64."""
    exact = probabilities.astype(np.float64)
    rescaled: Vector = exact / exact.sum(axis=-1, keepdims=True)
    return rescaled


def least_confidence(probabilities: NDArray[Any]) -> Vector:
    """Give 1 - max probability, as the sum of the others: float32 would round 1 - 1e-9 to 1.

    >>> f"{least_confidence(np.array([1, 1e-9, 2e-9], np.float32)):.1e}"
    '3.0e-09'
    """
    others = np.sort(probabilities.astype(np.float64), axis=-1)[..., :-1]
    total: Vector = others.sum(axis=-1)
    return total
