"""How well a score separates rows of one kind from rows of another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.training.measures.figure import Figure, resampled
from caveat.training.measures.ties import ranks


def separation(inside: NDArray[Any], outside: NDArray[Any]) -> dict[str, Figure]:
    """Measure how well a score separates out-of-distribution rows from in-distribution rows.

    Parameters
    ----------
    inside, outside
        Scores of in-distribution rows, and of out-of-distribution rows, which should be larger.

    Returns
    -------
    dict
        ``AUROC``, see `auroc`, and ``FPR95``, see `fpr95`.

    Examples
    --------
    >>> separation(np.array([1.0, 2.0, 3.0]), np.array([2.5, 4.0, 5.0, 6.0]))["FPR95"].value
    0.25
    """
    rows = joined(inside, outside)
    return {"AUROC": resampled(auroc, *rows), "FPR95": resampled(fpr95, *rows)}


def joined(inside: NDArray[Any], outside: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Join the scores of both kinds of rows, and tell which rows are outside."""
    return np.concatenate([inside, outside]), np.repeat([False, True], [len(inside), len(outside)])


def auroc(score: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """Give the area under the ROC curve; NaN unless there are positive and other rows.

    It is the probability that a positive row's score is larger than another row's, where equal scores count
    half (Hanley & McNeil, "The meaning and use of the area under a ROC curve", 1982).

    >>> auroc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True]))
    0.875
    """
    positives = int(positive.sum())
    others = len(positive) - positives
    if not positives or not others:
        return float("nan")
    larger = ranks(score)[positive].sum() - positives * (positives + 1) / 2
    return float(larger / (positives * others))


def fpr95(score: NDArray[Any], outside: NDArray[np.bool_]) -> float:
    """Give the fraction of outside rows that are accepted with 95 % of the inside rows.

    Accepted are scores up to the lowest threshold that accepts at least 95 % of the inside rows (Liang et
    al., ICLR 2018). NaN unless there are rows of both kinds.
    """
    if outside.all() or not outside.any():
        return float("nan")
    known = np.sort(score[~outside])
    threshold = known[-(-19 * len(known) // 20) - 1]
    return float((score[outside] <= threshold).mean())
