"""A test of whether served rows are still like the calibration rows, which can be read at any time.

A row's uncertainty is ranked among the uncertainties of the calibration rows *and* of all rows served
before. While all these rows are exchangeable, the ranks are independent and uniform, and a bet against that
multiplies its capital by 1 on average. So capital that begins at 1 ever reaches c with a probability of at
most 1 / c (Ville 1939), however long the test runs: it is a test martingale (Vovk, "Testing randomness
online", Statistical Science 36, 2021).

Ranks among the calibration rows alone would not be independent: all depend on which calibration rows were
drawn, and bets on that would win without any change.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.drift.ranks import MOST, Ranks, Vector
from caveat.models.estimates.cohort import Asked
from caveat.models.tasks.facts import CalibrationFacts

HIGHEST: Final = 1e6
"""The capital at which a test ends: the drift is certain enough."""

REST: Final = 10_000
"""Rows between the end of a test and the start of the next, which tells whether the drift is over.
Without drift at most one test in a million ends, so that a second test does not weaken the promise."""

_POWERS: Final = np.array([0.25, 0.5, 0.75])


class Drift:
    """A test of whether the rows of a model have drifted away from its calibration.

    Parameters
    ----------
    known
        Uncertainty of the calibration rows, shape (n,), or (n, T) for T targets. For several targets the test
        is of their product: a test of each target would be valid, but the average of these tests would not,
        since the ranks of a row by two targets may depend on each other.
    seed
        Seed of the random order of rows that are equally uncertain.
    """

    def __init__(self, known: NDArray[Any], seed: int = 0) -> None:
        self.rows = 0
        """Rows observed."""
        self._known = _of_rows(known)
        self._random = np.random.default_rng(seed)
        self._begin()

    def _begin(self) -> None:
        self._ranks = Ranks(self._known, self._random)
        self._capital = Capital()
        self._rested = 0

    @property
    def value(self) -> float:
        """The capital, 1 at first and at most `HIGHEST`.

        Without drift it ever reaches 20 with a probability of at most 1/20.
        """
        return min(self._capital.value, HIGHEST)

    def observe(self, uncertainty: NDArray[Any]) -> None:
        """Add the uncertainty of served rows, in the order of the rows; shape (B,), or (B, T)."""
        scores = _of_rows(uncertainty)
        self.rows += len(scores)
        for start in range(0, len(scores), MOST):
            self._add(scores[start : start + MOST])

    def _add(self, scores: Vector) -> None:
        if self._capital.value < HIGHEST:
            self._capital.bet(self._ranks.of(scores))
            return
        self._rested += len(scores)
        if self._rested >= REST:
            self._begin()


class Capital:
    """Capital that bets on the ranks of rows.

    A bet is on all rows from some row on: that few rows are more uncertain than each of them, or that few
    are less uncertain. A row multiplies the bet by ``k * p ** (k - 1)``, where p is the fraction of rows that
    are (Vovk, Nouretdinov & Gammerman, "Testing exchangeability on-line", ICML 2003), with a k of 1/4, 1/2
    and 3/4; a smaller k wins faster if it wins. Capital for later bets waits: after t rows it is
    ``1 / (1 + log(1 + t))`` of the first capital. So whenever a drift begins, some bets begin with it, and
    have lost nothing before.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._waiting = 1.0
        self._bets = np.zeros(2 * len(_POWERS))

    @property
    def value(self) -> float:
        """The capital of all bets, and the capital that waits."""
        return self._waiting + float(self._bets.sum())

    def bet(self, ranks: Vector) -> None:
        """Bet on the next rows, shape (B, 2); see `Ranks.of`."""
        factors = (_POWERS * ranks[..., None] ** (_POWERS - 1)).reshape(len(ranks), -1)
        from_row_on = np.cumprod(factors[::-1], axis=0)[::-1]
        waiting = 1 / (1 + np.log1p(self._rows + np.arange(len(ranks) + 1)))
        new_bets = -np.diff(waiting) / len(self._bets)
        self._bets = self._bets * from_row_on[0] + new_bets @ from_row_on
        self._waiting = float(waiting[-1])
        self._rows += len(ranks)


def comparable(asked: Asked, facts: CalibrationFacts) -> bool:
    """Tell whether rows were answered in the same way as the calibration rows, so that they can be compared.

    The distribution of the uncertainty also depends on the seed, since all rows of a seed get the same masks:
    the test would find the masks of another seed to be a drift.
    """
    return asked.seed == facts.seed and asked.as_calibrated(facts)


def _of_rows(uncertainty: NDArray[Any]) -> Vector:
    """Give one score for each row, (B,): the uncertainty, or the logarithm of the product over targets."""
    if uncertainty.ndim == 1:
        return uncertainty.astype(np.float64)
    with np.errstate(divide="ignore"):
        scores: Vector = np.log(uncertainty.astype(np.float64)).sum(axis=-1)
    return scores
