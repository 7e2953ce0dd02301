"""The exact law of the number of fresh rows that split conformal prediction holds, and counts to compare.

With n calibration rows and k = ceil((n + 1) c), the number of m fresh rows held at a coverage c is
BetaBinomial(m, k, n + 1 - k), for exchangeable rows whose scores have no ties. Sets that hold their label in
any case hold as many truths or more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

FALSE_ALARMS = 0.05
DRAWS = 20_000
"""Number of simulated divisions from which a standard deviation is computed."""


@dataclass(frozen=True)
class Count:
    """The number of fresh rows whose truth was held, for one division.

    Parameters
    ----------
    task, split
        Name of the data set, and number of the split. Sets by class have a count for each class.
    calibration, fresh
        Numbers of calibration rows and of fresh rows.
    held
        Number of fresh rows held, by coverage that the calibration rows support.
    at_least
        Whether more may be held than by the law, which then is a lower bound.
    """

    task: str
    split: int
    calibration: int
    fresh: int
    held: Mapping[float, int]
    at_least: bool = False

    def violations(self) -> dict[float, bool]:
        """Tell which counts are outside their bounds."""
        return {
            level: not low <= self.held[level] <= high
            for level in self.held
            for low, high in [bounds(self.calibration, self.fresh, level, self.at_least)]
        }


def rank(rows: int, coverage: float) -> int:
    """Give the rank, from the least on, of the calibration score that is the bound.

    >>> rank(9, 0.9), rank(99, 0.985)
    (9, 99)
    """
    return math.ceil((rows + 1) * coverage - 1e-9)


def law(calibration: int, fresh: int, coverage: float) -> Any:
    """Give the law of the number of fresh rows whose truth is held, as a distribution of `scipy.stats`."""
    k = rank(calibration, coverage)
    return betabinom(fresh, k, calibration + 1 - k)


def bounds(calibration: int, fresh: int, coverage: float, at_least: bool = False) -> tuple[int, int]:
    """Give the least and the greatest count in the central 95 % of its law; or all but the lowest 2.5 %.

    >>> bounds(99, 100, 0.9), bounds(99, 100, 0.9, at_least=True)
    ((81, 97), (81, 100))
    """
    low, high = law(calibration, fresh, coverage).ppf([FALSE_ALARMS / 2, 1 - FALSE_ALARMS / 2])
    return int(low), fresh if at_least else int(high)


def false_alarms(calibration: int, fresh: int, coverage: float, at_least: bool = False) -> float:
    """Give the exact probability of a count outside `bounds`."""
    low, high = bounds(calibration, fresh, coverage, at_least)
    expected = law(calibration, fresh, coverage)
    return float(expected.cdf(low - 1) + expected.sf(high))


def simulated(calibration: int, fresh: int, levels: Sequence[float]) -> NDArray[np.intp]:
    """Simulate the counts of divisions at several coverages, shape (`DRAWS`, levels).

    The probabilities of a score between two bounds follow a Dirichlet law, and fresh scores fall between the
    bounds with these probabilities.
    """
    ranks = np.array([0, *(rank(calibration, level) for level in levels), calibration + 1])
    generator = np.random.default_rng(0)
    parts = np.diff(ranks)
    shares = np.zeros((DRAWS, len(parts)))
    shares[:, parts > 0] = generator.dirichlet(parts[parts > 0], size=DRAWS)
    return generator.multinomial(fresh, shares).cumsum(axis=1)[:, :-1]


def totals(counts: Sequence[Count]) -> tuple[int, float, float]:
    """Give the number of violations, the expected number, and its standard deviation.

    Of counts that may be higher than by the law, the expected number is the most that is expected.
    """
    seen = sum(sum(each.violations().values()) for each in counts)
    laws: dict[tuple[int, int, tuple[float, ...], bool], int] = {}
    for each in counts:
        kind = each.calibration, each.fresh, tuple(each.held), each.at_least
        laws[kind] = laws.get(kind, 0) + 1
    expected = variance = 0.0
    for (calibration, fresh, levels, at_least), times in laws.items():
        limits = np.array([bounds(calibration, fresh, level, at_least) for level in levels])
        drawn = simulated(calibration, fresh, levels)
        outside = ((drawn < limits[:, 0]) | (drawn > limits[:, 1])).sum(axis=1)
        expected += times * sum(false_alarms(calibration, fresh, level, at_least) for level in levels)
        variance += times * float(outside.var())
    return seen, expected, math.sqrt(variance)


def coverage(counts: Sequence[Count], level: float) -> tuple[float, float, float]:
    """Give the fraction of fresh rows held at a coverage, its expectation, and its exact standard error."""
    fresh = sum(each.fresh for each in counts)
    laws = [law(each.calibration, each.fresh, level) for each in counts]
    return (
        sum(each.held[level] for each in counts) / fresh,
        float(sum(each.mean() for each in laws)) / fresh,
        math.sqrt(sum(each.var() for each in laws)) / fresh,
    )
