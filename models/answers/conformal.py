"""Prediction sets and intervals that hold the truth at an asked rate, by split conformal prediction.

A score measures how badly a possible truth conforms with an answer. A set holds every value whose score is
at most a quantile of the scores of the calibration rows' truths (Vovk, Gammerman & Shafer, "Algorithmic
learning in a random world", 2005; Angelopoulos & Bates, "Conformal prediction: a gentle introduction",
2023). For rows that are exchangeable with the calibration rows, the set holds the truth at the asked rate
or above it by at most 1 / (rows + 1).
"""

import math
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Sets = Literal["lac", "aps", "raps"]
"""How classes are scored: by their own probability, or by the sum over all classes at least as probable;
see `scores`."""

_PENALTY: Final = 0.01
_FREE_RANKS: Final = 5

_ROUNDING: Final = 1e-9  # 0.9 * 10 is a little more than 9 in float64


def scores(probabilities: NDArray[Any], sets: Sets) -> NDArray[np.float64]:
    """Score every class of every row, shape (B, C); the lower the score, the better a class conforms.

    Parameters
    ----------
    probabilities
        Class probabilities, shape (B, C).
    sets
        ``lac``: the probability of all other classes, which makes the smallest sets on average (Sadinle,
        Lei & Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", 2019).
        ``aps``: the probability of all classes that are at least as probable, which makes sets grow with
        the difficulty of a row (Romano, Sesia & Candes, "Classification with valid and adaptive coverage",
        2020, without randomisation: equal rows get equal sets). ``raps``: as ``aps``, with a penalty of 0.01
        for every rank beyond the fifth, against long tails (Angelopoulos et al., "Uncertainty sets for image
        classifiers using conformal prediction", 2021).

    Examples
    --------
    >>> scores(np.array([[0.7, 0.2, 0.1]]), "lac").round(3), scores(np.array([[0.7, 0.2, 0.1]]), "aps")
    (array([[0.3, 0.8, 0.9]]), array([[0.7, 0.9, 1. ]]))
    """
    if sets == "lac":
        # Not 1 - p: a float32 p near 1 rounds to 1, while the float64 sum keeps the digits of the others.
        others: NDArray[np.float64] = (
            np.add.reduce(probabilities, axis=-1, dtype=np.float64, keepdims=True) - probabilities
        )
        return others
    exact = probabilities.astype(np.float64)
    order = np.argsort(-exact, axis=-1, kind="stable")
    found = np.take_along_axis(exact, order, axis=-1).cumsum(axis=-1)
    if sets == "raps":
        found = found + _PENALTY * np.maximum(np.arange(1, exact.shape[-1] + 1) - _FREE_RANKS, 0)
    places = np.argsort(order, axis=-1, kind="stable")
    return np.take_along_axis(found, places, axis=-1)


def highest_coverage(rows: int) -> float:
    """Give the highest coverage that ``rows`` calibration rows can support."""
    return rows / (rows + 1)


def quantile(ascending: NDArray[np.float64], coverage: float) -> float:
    """Give the highest score that a set holds.

    Parameters
    ----------
    ascending
        Scores of the truths of n calibration rows, in ascending order.
    coverage
        At most ``highest_coverage(n)``.

    Examples
    --------
    >>> quantile(np.arange(1.0, 10.0), 0.9)
    9.0
    """
    rank = math.ceil((len(ascending) + 1) * coverage - _ROUNDING)
    return float(ascending[max(rank, 1) - 1])
