"""Whether rows that are served are still like those of the calibration: a test that can be read at any time.

A row's uncertainty is ranked among those of the calibration rows *and* of all rows served before. While all
of these are exchangeable, such ranks are independent and uniform, and whoever bets against that multiplies
their capital by 1 on average. So the chance that capital which begins at 1 ever reaches c is at most 1 / c
(Ville 1939), however long one waits: it is a test martingale (Vovk, "Testing randomness online", Statistical
Science 36, 2021).

Ranks among the calibration rows alone would not do: they have the luck of these rows in common, and bets on
that win though nothing has changed.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Calibration as Facts
from caveat.models.drift.ranks import MOST, Ranks, Vector
from caveat.models.estimates.cohort import Asked

HIGHEST: Final = 1e6
"""The capital at which a test ends, since it has shown what there is to be shown."""

REST: Final = 10_000
"""Rows after the end of a test with which a new one begins, to tell whether the drift is over.
Without drift at most one test in a million ends, so that a second one does not weaken the promise."""

_POWERS: Final = np.array([0.25, 0.5, 0.75])


class Drift:
    """A test of whether the rows of a model have drifted away from its calibration.

    Parameters
    ----------
    known
        The uncertainty of the calibration rows, shape (n,), or (n, T) of T targets. Of several targets the
        product is tested: tests of each target would all be valid, but their average would not be, since
        the rank of a row by one target may tell something about its rank by another.
    seed
        Of the lots that are drawn between rows that are as uncertain.
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
        """The capital, 1 at first and at most `HIGHEST`; without drift a 20 has a chance of 1/20 at most."""
        return min(self._capital.value, HIGHEST)

    def observe(self, uncertainty: NDArray[Any]) -> None:
        """Take the uncertainty of served rows, in the order in which they came; shape (B,), or (B, T)."""
        scores = _of_rows(uncertainty)
        self.rows += len(scores)
        for start in range(0, len(scores), MOST):
            self._take(scores[start : start + MOST])

    def _take(self, scores: Vector) -> None:
        if self._capital.value < HIGHEST:
            self._capital.bet(self._ranks.of(scores))
            return
        self._rested += len(scores)
        if self._rested >= REST:
            self._begin()


class Capital:
    """What bets on the ranks of rows have come to.

    A bet is put on all rows from some row on: that few are more uncertain than each, or that few are less. It
    multiplies by ``k * p ** (k - 1)``, where p is the part that is (Vovk, Nouretdinov & Gammerman, "Testing
    exchangeability on-line", ICML 2003), with a k of 1/4, 1/2 and 3/4, of which smaller ones win faster
    where they win. Capital for later bets waits: after t rows ``1 / (1 + log(1 + t))`` of what there was at
    first. So wherever a drift begins, there are bets that have not lost anything before it.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._waiting = 1.0
        self._bets = np.zeros(2 * len(_POWERS))

    @property
    def value(self) -> float:
        """What the bets have come to, and what waits."""
        return self._waiting + float(self._bets.sum())

    def bet(self, ranks: Vector) -> None:
        """Bet on the next rows, shape (B, 2); see `Ranks.of`."""
        factors = (_POWERS * ranks[..., None] ** (_POWERS - 1)).reshape(len(ranks), -1)
        from_row_on = np.cumprod(factors[::-1], axis=0)[::-1]
        waiting = 1 / (1 + np.log1p(self._rows + np.arange(len(ranks) + 1)))
        put = -np.diff(waiting) / len(self._bets)
        self._bets = self._bets * from_row_on[0] + put @ from_row_on
        self._waiting = float(waiting[-1])
        self._rows += len(ranks)


def comparable(asked: Asked, facts: Facts) -> bool:
    """Tell whether rows were answered as the calibration rows were, so that they may be compared.

    The law of the uncertainty depends on the number of passes. It depends on the seed too, since all rows
    meet the same masks: with another one, the masks are a change that the test finds.
    """
    likewise = Asked(facts.samples, facts.seed)
    return (asked.samples, asked.seed, asked.sampler, asked.tolerance) == (
        likewise.samples,
        likewise.seed,
        likewise.sampler,
        likewise.tolerance,
    )


def _of_rows(uncertainty: NDArray[Any]) -> Vector:
    """Make one score of each row, (B,): the uncertainty, or the logarithm of the targets' product."""
    if uncertainty.ndim == 1:
        return uncertainty.astype(np.float64)
    with np.errstate(divide="ignore"):
        scores: Vector = np.log(uncertainty.astype(np.float64)).sum(axis=-1)
    return scores
