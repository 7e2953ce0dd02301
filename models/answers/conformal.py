"""Prediction sets and intervals that hold the truth at an asked rate, by split conformal prediction.

A score measures how badly a possible truth conforms with an answer. A set holds every value whose score is
at most a quantile of the scores of the calibration rows' truths (Vovk, Gammerman & Shafer, "Algorithmic
learning in a random world", 2005; Angelopoulos & Bates, "Conformal prediction: a gentle introduction",
2023). For rows that are exchangeable with the calibration rows, the set holds the truth at the asked rate
or above it.
"""

import math
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Sets = Literal["lac", "aps", "raps"]
"""How classes are scored: by their own probability, or by that of all classes which are more probable; see
`least_ambiguous` and `adaptive`."""

_PENALTY: Final = 0.01
_FREE_RANKS: Final = 5

_TINY: Final = np.finfo(np.float64).tiny  # makes odds against 0 finite

_ROUNDING: Final = 1e-9  # 0.9 * 10 is a little more than 9 in float64


def least_ambiguous(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Score every class by the odds against it, shape (B, C).

    They order classes as their probabilities do, which makes the smallest sets on average (Sadinle, Lei &
    Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", 2019). Unlike 1 - p, they
    tell apart what rounds to 1, and what is near 0.

    Examples
    --------
    >>> least_ambiguous(np.array([[0.75, 0.2, 0.05]])).round(3)
    array([[ 0.333,  4.   , 19.   ]])
    """
    exact = probabilities.astype(np.float64)
    ascending = np.sort(exact, axis=-1)
    most, rest = ascending[..., -1:], ascending[..., :-1].sum(axis=-1, keepdims=True)
    others = np.where(exact == most, rest, rest + most - exact)
    odds: NDArray[np.float64] = others / np.maximum(exact, _TINY)
    return odds


def adaptive(
    probabilities: NDArray[Any], chance: NDArray[np.float64], regularised: bool = False
) -> NDArray[np.float64]:
    """Score every class by the probability of all more probable classes, shape (B, C).

    A random part of the class's own probability counts too, without which the surest rows would have the
    least room in their sets (Romano, Sesia & Candes, "Classification with valid and adaptive coverage",
    2020). Classes of equal probability have equal scores, as if they were one class.

    Parameters
    ----------
    probabilities
        Class probabilities, shape (B, C).
    chance
        A number for each row, uniform on [0, 1), shape (B,); see `caveat.models.answers.chance`.
    regularised
        Whether to add a penalty of 0.01 for every rank beyond the fifth, against long tails (Angelopoulos et
        al., "Uncertainty sets for image classifiers using conformal prediction", 2021).

    Returns
    -------
    NDArray
        The scores of the papers less 1: minus the probability that a class leaves to less probable ones. So
        those of a class whose probability rounds to 1 and of one of 1e-18 are told apart.

    Examples
    --------
    >>> adaptive(np.array([[0.7, 0.2, 0.1]]), np.array([0.5])).round(3) + 1
    array([[0.35, 0.8 , 0.95]])
    """
    exact = probabilities.astype(np.float64)
    order = np.argsort(exact, axis=-1, kind="stable")
    ascending = np.take_along_axis(exact, order, axis=-1)
    classes = exact.shape[-1]
    places = np.broadcast_to(np.arange(classes), exact.shape)
    starts = np.ones(exact.shape, np.bool_)
    starts[:, 1:] = ascending[:, 1:] > ascending[:, :-1]
    ends = np.roll(starts, -1, axis=-1)
    first = np.maximum.accumulate(np.where(starts, places, 0), axis=-1)
    last = np.minimum.accumulate(np.where(ends, places, classes)[:, ::-1], axis=-1)[:, ::-1]
    less = np.zeros(exact.shape)
    ascending[:, :-1].cumsum(axis=-1, out=less[:, 1:])
    below = np.take_along_axis(less, first, axis=-1)
    own = (last - first + 1) * ascending
    found = -(below + (1 - chance[:, None]) * own)
    if regularised:
        found += _PENALTY * np.maximum(classes - first - _FREE_RANKS, 0)
    return np.take_along_axis(found, np.argsort(order, axis=-1, kind="stable"), axis=-1)


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
        Rate at which the set shall hold the truth.

    Returns
    -------
    float
        Infinity, which holds everything, if the coverage is above ``highest_coverage(n)``.

    Examples
    --------
    >>> quantile(np.arange(1.0, 10.0), 0.9), quantile(np.arange(1.0, 10.0), 0.91)
    (9.0, inf)
    """
    rank = math.ceil((len(ascending) + 1) * coverage - _ROUNDING)
    return float(ascending[max(rank, 1) - 1]) if rank <= len(ascending) else math.inf


def p_values(scores: NDArray[np.float64], ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the fraction of rows, these and the calibration rows, that conform no better, for each score.

    For the truths of rows that are exchangeable with the calibration rows, it is at most p with a probability
    of at most p (Vovk, Gammerman & Shafer, 2005).

    >>> p_values(np.array([1.0, 9.5]), np.arange(1.0, 10.0))
    array([1. , 0.1])
    """
    above = len(ascending) - ascending.searchsorted(scores, "left")
    found: NDArray[np.float64] = (above + 1) / (len(ascending) + 1)
    return found
