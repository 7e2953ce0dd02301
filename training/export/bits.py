"""The least number of rows in a run at which the bits of a row do not depend on the other rows."""

import numpy as np
from numpy.typing import NDArray

from caveat.training.export.runs import Runs


def find_stable_bits(runs: Runs) -> int:
    """Find the least number of rows in a run that gives a row equal bits in every batch.

    From now on the runs are filled up to this number; to 1 if no number gives equal bits.
    """
    for least in (1, 2, 4):
        runs.fill(least)
        if _stable(runs):
            return least
    runs.fill(1)
    return 1


def _stable(runs: Runs) -> bool:
    """Compare every run with the first runs, which have the most rows."""
    sampled: dict[int, NDArray[np.floating]] = {}
    for count, passes in sorted(runs.shapes(), reverse=True):
        for number, answers in enumerate(runs.passes(count, passes)):
            if not _equal(answers, sampled.setdefault(number, answers)):
                return False
    predicted = runs.predict(max(runs.counts()))
    return all(_equal(runs.predict(count), predicted) for count in runs.counts())


def _equal(few: NDArray[np.floating], many: NDArray[np.floating]) -> bool:
    return np.array_equal(few, many[: len(few)], equal_nan=True)
