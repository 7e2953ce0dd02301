"""Ranks of rows among all rows before them, in memory that does not grow."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MOST: Final = 32
"""Rows that may be ranked at once, each of which is compared with the others."""

_BEFORE: Final = np.tri(MOST, k=-1, dtype=np.bool_)


class Ranks:
    """Ranks rows among known ones and all that were ranked before.

    As long as all of these are exchangeable, the ranks are independent and uniform (Vovk, Gammerman & Shafer,
    "Algorithmic learning in a random world", 2005, sec. 8.1).

    The known rows cut the line into points, their own scores, and the gaps between them, and all that is
    kept of a row is in which of these it fell. In a gap rows are ranked by lot. That changes nothing in the
    law of the ranks: given which rows are there, their order in the gap is as good as a lot.

    Parameters
    ----------
    known
        Scores, shape (n,).
    random
        Draws the lots.

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
        """Rank rows in the order in which they came, at most `MOST`.

        Returns
        -------
        NDArray
            Shape (B, 2): of the rows up to a row, itself among them, the part whose scores are larger, and
            the part whose are smaller; of equal ones a random part is larger. Neither is ever 0.
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
