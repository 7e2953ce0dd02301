"""How well a score separates out-of-distribution rows from in-distribution rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from caveat.training.measures.figure import Figure, resampled


def separation(inside: NDArray[Any], outside: NDArray[Any]) -> dict[str, Figure]:
    """Measure how well a score separates outside rows, whose scores should be larger, from inside rows.

    Returns
    -------
    dict
        ``AUROC``: the probability that an outside row's score is larger than an inside row's. ``FPR95``:
        the fraction of outside rows below the threshold that keeps 95 % of the inside rows (Liang et al.,
        ICLR 2018).

    Examples
    --------
    >>> separation(np.array([1.0, 2.0, 3.0]), np.array([2.5, 4.0, 5.0, 6.0]))["FPR95"].value
    0.25
    """
    rows = joined(inside, outside)
    return {"AUROC": resampled(auroc, *rows), "FPR95": resampled(fpr95, *rows)}


def joined(inside: NDArray[Any], outside: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Join both kinds of rows: whether each is inside, and its trust, the negative score."""
    is_inside = np.repeat([True, False], [len(inside), len(outside)])
    return is_inside, -np.concatenate([inside, outside])


def auroc(is_inside: NDArray[np.bool_], trust: NDArray[Any]) -> float:
    """Give the area under the ROC curve; NaN unless there are rows of both kinds."""
    if is_inside.all() or not is_inside.any():
        return float("nan")
    return float(roc_auc_score(is_inside, trust))


def fpr95(is_inside: NDArray[np.bool_], trust: NDArray[Any]) -> float:
    """Give the fraction of outside rows accepted with 95 % of the inside rows; NaN unless there are both."""
    if is_inside.all() or not is_inside.any():
        return float("nan")
    passed, kept, _ = roc_curve(is_inside, trust, drop_intermediate=False)
    return float(passed[np.argmax(kept >= 0.95)])
