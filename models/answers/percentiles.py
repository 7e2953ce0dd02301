"""Percentiles of values among reference values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Percentiles:
    """Percentiles of values among reference values, found by one binary search in NumPy.

    Examples
    --------
    >>> Percentiles(np.array([3.0, 5.0, 5.0])).of(np.array([1, 3, 4, 5, 6]))
    array([12.5, 25. , 37.5, 62.5, 87.5])
    """

    def __init__(self, reference: NDArray[np.float64]) -> None:
        values, counts = np.unique(reference, return_counts=True)
        # Between two bounds lies, by turns, a reference value alone or the gap up to the next one.
        self._bounds = np.stack([values, np.nextafter(values, np.inf)], axis=-1).ravel()
        not_above = np.concatenate([[0], np.cumsum(counts)])
        twice = np.empty(2 * len(values) + 1)
        twice[0::2] = 2 * not_above
        twice[1::2] = not_above[:-1] + not_above[1:]  # a tie ranks in the middle of the equal values
        self._percentiles = (twice + 1) * (50 / (len(reference) + 1))

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Give the percentile of each value, from 0 (below all reference values) to 100."""
        found: NDArray[np.float64] = self._percentiles[self._bounds.searchsorted(values, "right")]
        return found
