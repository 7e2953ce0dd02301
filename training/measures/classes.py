"""Measures of class probabilities."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns, entropy
from caveat.training.measures.calibration_error import adaptive_ece, ece
from caveat.training.measures.figure import Figure, averaged, resampled
from caveat.training.measures.risks import aurc
from caveat.training.measures.separation import auroc

LEAST: Final = float(np.finfo(np.float32).smallest_subnormal)
"""The smallest float32 above 0, 1.4e-45: a lower probability counts as this before its logarithm."""

Vector = NDArray[np.float64]


def figures(probabilities: NDArray[Any], y: NDArray[np.integer]) -> dict[str, Figure]:
    """Evaluate probabilities (B, C) on the true classes (B,).

    Returns
    -------
    dict
        ``accuracy``; ``log likelihood`` in nats per row, at least -103.3 (see `log_likelihoods`); ``Brier
        score``, the squared distance to the truth (0 to 2; Brier 1950); ``ECE`` and ``adaptive ECE``, the
        expected calibration error of the label's probability in 15 bins of equal width (Guo et al., ICML
        2017) and of equal numbers of rows (Nguyen & O'Connor, EMNLP 2015); ``AURC``, the area under the curve
        of error rate against coverage, when the most certain answers are given (Geifman, Uziel & El-Yaniv,
        ICLR 2019); ``AUROC of errors``, how well 1 - the label's probability separates wrong from right
        answers, NaN if all are wrong or all right. No value depends on the order of the rows.
    """
    exact = scaled(probabilities)
    wrong = exact.argmax(axis=-1) != y
    doubt = least_confidence(probabilities)
    return {
        "accuracy": averaged(~wrong),
        "log likelihood": averaged(log_likelihoods(exact, y)),
        "Brier score": averaged(brier(exact, y)),
        "ECE": resampled(ece, exact, y),
        "adaptive ECE": resampled(adaptive_ece, exact.max(axis=-1), wrong),
        "AURC": resampled(aurc, doubt, wrong),
        "AUROC of errors": resampled(auroc, doubt, wrong),
    }


def metrics(answers: Columns, once: NDArray[Any], y: NDArray[Any]) -> dict[str, float]:
    """Measure answers from passes, and those without dropout, on held-out rows.

    Returns
    -------
    dict
        ``accuracy`` of the mean over passes and ``deterministic_accuracy`` without dropout; ``log_loss`` of
        the mean, in nats, the negative mean of `log_likelihoods`; ``error_auroc``, how well the predictive
        entropy separates wrong from right labels (1 perfectly, 0.5 by chance; absent if all are right or all
        wrong).
    """
    wrong = answers["label"] != y
    found = {
        "accuracy": (~wrong).mean(),
        "deterministic_accuracy": (once.argmax(axis=-1) == y).mean(),
        "log_loss": 0 - log_likelihoods(scaled(answers["mean"]), y).mean(),  # 0 rather than -0
    }
    if wrong.any() and not wrong.all():
        found["error_auroc"] = auroc(answers["predictive_entropy"], wrong)
    return found


def log_likelihoods(probabilities: Vector, y: NDArray[np.integer]) -> Vector:
    """Give the logarithm of each truth's probability, shape (B,), in nats; `LEAST` keeps it finite.

    >>> log_likelihoods(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])).round(1)
    array([   0. , -103.3])
    """
    logarithms: Vector = np.log(np.maximum(probabilities[np.arange(len(y)), y], LEAST))
    return logarithms


def brier(probabilities: Vector, y: NDArray[np.integer]) -> Vector:
    """Give the squared distance of each row's probabilities from the one-hot truth, shape (B,).

    >>> brier(np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([0, 1])).round(2)
    array([0.08, 0.5 ])
    """
    distances: Vector = np.square(probabilities - np.eye(probabilities.shape[1])[y]).sum(axis=-1)
    return distances


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
