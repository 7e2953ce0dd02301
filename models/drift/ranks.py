"""Ranks of rows among all rows before them, in memory of a fixed size."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MOST: Final = 32
"""Most rows that are ranked at once, which compares each with the others."""

_BEFORE: Final = np.tri(MOST, k=-1, dtype=np.bool_)


class Ranks:
    """Ranks rows among known rows and all rows ranked before.

    As long as all these rows are exchangeable, the ranks are independent and uniform (Vovk, Gammerman &
    Shafer, "Algorithmic learning in a random world", 2005, sec. 8.1).

    The scores of the known rows divide the line into cells: these scores, and the gaps between them. For each
    cell, only the number of rows in it is kept. Rows in a gap are ranked in a random order, which leaves the
    distribution of the ranks unchanged: given which rows are in a gap, their order is random anyway.

    Parameters
    ----------
    known
        Scores of the known rows, shape (n,).
    random
        Generator of the random order.

    Examples
    --------
    >>> ranks = Ranks(np.array([1.0, 2.0, 3.0, 4.0]), np.random.default_rng(0))
    >>> ranks.of(np.array([9.0, 0.0])).round(2)
    array([[0.07, 0.93],
           [0.96, 0.04]])
    """

    def __init__(self, known: Vector, random: np.random.Generator) -> None:
        points, rows = np.unique(known, return_counts=True)
        self._points = np.append(points, np.nan)
        self._counts = np.zeros(2 * len(points) + 1, np.int64)
        self._counts[1::2] = rows
        self._random = random

    def of(self, scores: Vector) -> Vector:
        """Rank rows, at most `MOST`, in their order.

        Returns
        -------
        NDArray
            Shape (B, 2): of all rows up to and including a row, the fraction with larger scores, and the
            fraction with smaller scores; a random part of equal scores counts as larger. Neither is ever 0.
        """
        places = np.searchsorted(self._points, scores)
        cells = 2 * places + (self._points[places] == scores)
        before = _BEFORE[: len(cells), : len(cells)]
        up_to = self._counts.cumsum()
        equal = self._counts[cells] + 1 + (before & (cells == cells[:, None])).sum(axis=1)
        smaller = up_to[cells] - self._counts[cells] + (before & (cells < cells[:, None])).sum(axis=1)
        rows = up_to[-1] + 1 + np.arange(len(cells))
        np.add.at(self._counts, cells, 1)
        below = smaller + self._random.uniform(2**-53, 1, len(cells)) * equal
        ranks: Vector = np.stack([rows - below, below], axis=-1) / rows[:, None]
        return ranks
