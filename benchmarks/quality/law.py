"""The exact law of how many fresh rows a split conformal set or interval holds, and counts held to it.

With n calibration rows and k = ceil((n + 1) c), of m fresh rows BetaBinomial(m, k, n + 1 - k) are held at a
coverage c, for scores without ties of rows that are exchangeable.
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
"""Simulated divisions behind a standard deviation."""


@dataclass(frozen=True)
class Count:
    """Of how many fresh rows the truth was held, after one division.

    Parameters
    ----------
    task, split
        What was answered. Sets by class are counted for each class by itself.
    calibration, fresh
        Rows.
    held
        By coverage, of those that the calibration rows can support; of the fresh rows.
    """

    task: str
    split: int
    calibration: int
    fresh: int
    held: Mapping[float, int]

    def violations(self) -> dict[float, bool]:
        """Tell which counts are outside their bounds."""
        return {
            level: not low <= self.held[level] <= high
            for level in self.held
            for low, high in [bounds(self.calibration, self.fresh, level)]
        }


def rank(rows: int, coverage: float) -> int:
    """Tell which of the scores of so many calibration rows, from the least on, is the bound.

    >>> rank(9, 0.9), rank(99, 0.985)
    (9, 99)
    """
    return math.ceil((rows + 1) * coverage - 1e-9)


def law(calibration: int, fresh: int, coverage: float) -> Any:
    """Give the law of the number of fresh rows whose truth is held, of `scipy.stats`."""
    k = rank(calibration, coverage)
    return betabinom(fresh, k, calibration + 1 - k)


def bounds(calibration: int, fresh: int, coverage: float) -> tuple[int, int]:
    """Give the least and the greatest count in the central 95 % of its law.

    >>> bounds(99, 100, 0.9)
    (81, 97)
    """
    low, high = law(calibration, fresh, coverage).ppf([FALSE_ALARMS / 2, 1 - FALSE_ALARMS / 2])
    return int(low), int(high)


def false_alarms(calibration: int, fresh: int, coverage: float) -> float:
    """Give the exact probability of a count outside `bounds`."""
    low, high = bounds(calibration, fresh, coverage)
    expected = law(calibration, fresh, coverage)
    return float(expected.cdf(low - 1) + expected.sf(high))


def simulated(calibration: int, fresh: int, levels: Sequence[float]) -> NDArray[np.intp]:
    """Draw the counts at several coverages of one division after the other, (`DRAWS`, levels).

    The shares of the law of the scores between the bounds follow a Dirichlet law, and fresh scores fall
    between them at these rates.
    """
    ranks = np.array([0, *(rank(calibration, level) for level in levels), calibration + 1])
    generator = np.random.default_rng(0)
    parts = np.diff(ranks)
    shares = np.zeros((DRAWS, len(parts)))
    shares[:, parts > 0] = generator.dirichlet(parts[parts > 0], size=DRAWS)
    return generator.multinomial(fresh, shares).cumsum(axis=1)[:, :-1]


def totals(counts: Sequence[Count]) -> tuple[int, float, float]:
    """Sum the violations: how many there are, how many are expected, and their standard deviation."""
    seen = sum(sum(each.violations().values()) for each in counts)
    laws: dict[tuple[int, int, tuple[float, ...]], int] = {}
    for each in counts:
        kind = each.calibration, each.fresh, tuple(each.held)
        laws[kind] = laws.get(kind, 0) + 1
    expected = variance = 0.0
    for (calibration, fresh, levels), times in laws.items():
        limits = np.array([bounds(calibration, fresh, level) for level in levels])
        drawn = simulated(calibration, fresh, levels)
        outside = ((drawn < limits[:, 0]) | (drawn > limits[:, 1])).sum(axis=1)
        expected += times * sum(false_alarms(calibration, fresh, level) for level in levels)
        variance += times * float(outside.var())
    return seen, expected, math.sqrt(variance)


def coverage(counts: Sequence[Count], level: float) -> tuple[float, float, float]:
    """Give the share of fresh rows held at a coverage, its expectation, and its standard error by law."""
    fresh = sum(each.fresh for each in counts)
    laws = [law(each.calibration, each.fresh, level) for each in counts]
    return (
        sum(each.held[level] for each in counts) / fresh,
        float(sum(each.mean() for each in laws)) / fresh,
        math.sqrt(sum(each.var() for each in laws)) / fresh,
    )
