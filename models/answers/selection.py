"""When to withhold an answer, so that the given answers are wrong at no more than an asked rate."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95

_STEP: Final = 0.025
"""Fraction of the calibration rows that each next threshold answers in addition."""

_LATER_SHARE: Final = 0.1
"""Most of the tests' level that later starts have of their own; the strictest threshold has the rest."""


def threshold(uncertainty: NDArray[Any], wrong: NDArray[np.bool_], max_error: float) -> float | None:
    """Find the highest uncertainty at which to answer.

    Thresholds are tested from the strictest on, each on the rows that it would answer. The strictest answers
    as few rows as a test can pass on, if none of them is answered wrongly. A test that passes hands its level
    on to the next; one that fails ends the sequence. But some later thresholds, which answer fixed fractions
    of the rows, have a little level of their own, so that one error among the surest rows does not end
    everything. All thresholds that pass hold together with the confidence of one test (the fallback procedure
    of Wiens, "A fixed sequence Bonferroni procedure for testing multiple endpoints", 2003; Angelopoulos et
    al., "Learn then test: calibrating predictive algorithms to achieve risk control", 2022, sec. 2.3). Each
    test is exact but for the one row at the threshold: the number of wrong answers among those given is
    binomial (Geifman & El-Yaniv, "Selective classification for deep neural networks", 2017).

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
    found, level = None, 0.0
    for count, own in _tests(len(order), max_error):
        level += own
        if not level:
            continue
        answered = int(np.searchsorted(ascending, ascending[count - 1], side="right"))  # includes all ties
        if binomial_cdf(int(errors[answered - 1]), answered, max_error) <= level:
            found = float(ascending[count - 1])
        else:
            level = 0.0
    return found


def lowest_error(uncertainty: NDArray[Any], wrong: NDArray[np.bool_], above: float = 0.0) -> float:
    """Find the lowest rate that some threshold keeps, in steps of 0.001; 1 if there is none.

    Parameters
    ----------
    uncertainty, wrong
        See `threshold`.
    above
        A rate that no threshold keeps.
    """
    low, high = math.floor(above * 1000), 1000
    while high - low > 1:
        middle = (low + high) // 2
        kept = threshold(uncertainty, wrong, middle / 1000) is not None
        low, high = (low, middle) if kept else (middle, high)
    return high / 1000


def _tests(rows: int, max_error: float) -> list[tuple[int, float]]:
    """List how many rows each threshold answers, ascending, with the level that its test has of its own."""
    level = 1 - CONFIDENCE
    least = _least_rows(max_error, level)
    if least > rows:
        return []
    own = {
        rows >> power: _LATER_SHARE * level / 2**power
        for power in range(1, rows.bit_length())
        if rows >> power >= 2 * least
    }
    level -= sum(own.values())
    first = math.ceil(_least_rows(max_error, level))
    own[first] = level
    steps = range(first, rows + 1, max(1, round(_STEP * rows)))
    return [(count, own.get(count, 0.0)) for count in sorted({*steps, *own})]


def binomial_cdf(successes: int, trials: int, rate: float) -> float:
    """Give the probability of at most ``successes`` successes.

    >>> round(binomial_cdf(1, 3, 0.5), 6)
    0.5
    """
    counts = np.arange(successes)
    steps = np.log((trials - counts) / (counts + 1)) + math.log(rate) - math.log1p(-rate)
    logs = np.concatenate([[0.0], np.cumsum(steps)]) + trials * math.log1p(-rate)
    return float(min(1.0, np.exp(logs).sum()))


def _least_rows(max_error: float, level: float) -> float:
    """Give the least number of rows whose test passes at a level, if none is answered wrongly."""
    return math.log(level) / math.log1p(-max_error)
