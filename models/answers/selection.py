"""When to withhold an answer, so that the given answers are wrong at no more than an asked rate."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95

_STEP: Final = 0.025
"""Fraction of the calibration rows that each next threshold answers in addition."""


def threshold(uncertainty: NDArray[Any], wrong: NDArray[np.bool_], max_error: float) -> float | None:
    """Find the highest uncertainty at which to answer.

    Thresholds are tested from the strictest on, each on the rows that it would answer, until a test fails.
    All thresholds that passed hold together with the confidence of one test, without a correction for
    their number (fixed-sequence testing; Angelopoulos et al., "Learn then test: calibrating predictive
    algorithms to achieve risk control", 2022, sec. 2.3). Each test is exact: the number of wrong answers
    among those given is binomial (Geifman & El-Yaniv, "Selective classification for deep neural networks",
    2017). The strictest threshold answers half of the rows, or the number that a test without an error needs
    if that is more.

    Parameters
    ----------
    uncertainty, wrong
        Uncertainty of n calibration rows, and whether their answers are wrong; shape (n,).
    max_error
        Highest rate of wrong answers among the given ones, between 0 and 1; the threshold keeps the rate with
        a confidence of `CONFIDENCE` over the choice of calibration rows.

    Returns
    -------
    float or None
        None if no threshold passes.
    """
    order = np.argsort(uncertainty, kind="stable")
    ascending, errors = uncertainty[order], np.cumsum(wrong[order])
    rows = len(order)
    least = max(_least_rows(max_error), rows / 2)
    if least > rows:
        return None
    found = None
    for count in range(math.ceil(least), rows + 1, max(1, round(_STEP * rows))):
        answered = int(np.searchsorted(ascending, ascending[count - 1], side="right"))  # includes all ties
        if binomial_cdf(int(errors[answered - 1]), answered, max_error) > 1 - CONFIDENCE:
            break
        found = float(ascending[count - 1])
    return found


def lowest_error(uncertainty: NDArray[Any], wrong: NDArray[np.bool_]) -> float:
    """Find the lowest rate, rounded up to three digits, that some threshold keeps; 1 if there is none."""
    low, high = 0.0, 1.0
    while high - low > 0.0005:
        middle = (low + high) / 2
        low, high = (low, middle) if threshold(uncertainty, wrong, middle) is not None else (middle, high)
    return math.ceil(high * 1000) / 1000


def binomial_cdf(successes: int, trials: int, rate: float) -> float:
    """Give the probability of at most ``successes`` successes.

    >>> round(binomial_cdf(1, 3, 0.5), 6)
    0.5
    """
    counts = np.arange(successes)
    steps = np.log((trials - counts) / (counts + 1)) + math.log(rate) - math.log1p(-rate)
    logs = np.concatenate([[0.0], np.cumsum(steps)]) + trials * math.log1p(-rate)
    return float(min(1.0, np.exp(logs).sum()))


def _least_rows(max_error: float) -> float:
    """Give the least number of rows that pass the test without a wrong answer."""
    return math.log(1 - CONFIDENCE) / math.log1p(-max_error)
