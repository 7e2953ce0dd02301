"""Statistics of passes: mean, variance, standard error, entropies.

Passes arrive in chunks, and none is kept. All sums run over the passes in their order, in float64, so that
the bits of a row's statistics depend neither on the cut into chunks nor on the other rows of a batch.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
"""The fields of an answer by name; the first axis of each is the row."""

_Float = TypeVar("_Float", np.float32, np.float64)

TINY: Final = {np.dtype(kind): np.finfo(kind).tiny for kind in (np.float16, np.float32, np.float64)}
"""Added to a probability before its logarithm, so that the logarithm of 0 is finite; changes only 0."""

_BLOCK: Final = 2**14 - 2**8
"""Values that are summed up at once. As float64 they stay in the cache, and below 128 KiB: for larger arrays
the C library fetches memory from the system every time, which took five times as long."""


class Summary(Protocol):
    """Computes the statistics of the passes of B rows."""

    def add(self, passes: NDArray[np.floating]) -> None:
        """Add the next chunk of passes, shape (n, B, ...)."""

    def columns(self) -> Columns:
        """Give the statistics of all passes added, of which there must be at least two."""

    def standard_error(self) -> NDArray[np.float64]:
        """Give the standard error of each row's mean over independent passes, shape (B, ...)."""

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all rows but these; ``rows`` has a flag for each row, shape (B,)."""


class Total:
    """A running sum over passes.

    Examples
    --------
    >>> total = Total()
    >>> total.add(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> total.add(np.array([[5.0, 6.0]]))
    >>> total.value
    array([ 9., 12.])
    """

    def __init__(self) -> None:
        self.value: NDArray[np.float64] = np.zeros(())

    def add(self, chunk: NDArray[np.float64]) -> None:
        """Add an array of shape (n, ...) along its first axis. The array may be overwritten."""
        chunk[0] += self.value
        flat = chunk.reshape(len(chunk), -1)
        # NumPy adds whole rows in their order, but a single column pairwise, which would make
        # the bits depend on where chunks begin; accumulate is sequential by definition.
        total = np.add.reduce(flat, axis=0) if flat.shape[1] > 1 else np.add.accumulate(flat, axis=0)[-1]
        self.value = total.reshape(chunk.shape[1:])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all rows but these."""
        self.value = self.value[rows]


class Moments:
    """Running mean and unbiased variance over passes.

    The first pass is subtracted from all passes, so that a variance far below the square of the mean
    keeps its digits (Chan, Golub & LeVeque, "Algorithms for computing the sample variance", 1983).

    Examples
    --------
    >>> moments = Moments()
    >>> moments.add(np.array([[1.0], [2.0], [6.0]], np.float32))
    >>> moments.mean, moments.variance
    (array([3.]), array([7.]))
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin: NDArray[np.float64] = np.zeros(())
        self._sum = Total()
        self._squares = Total()

    def add(self, passes: NDArray[np.floating]) -> None:
        """Add the next chunk of passes, shape (n, B, ...)."""
        distance = passes.astype(np.float64)
        if self.count == 0:
            self._origin = distance[0].copy()
        self.count += len(passes)
        distance -= self._origin
        self._squares.add(distance * distance)
        self._sum.add(distance)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over passes, shape (B, ...)."""
        return self._origin + self._sum.value / self.count

    @property
    def variance(self) -> NDArray[np.float64]:
        """Unbiased variance over passes (ddof = 1), shape (B, ...)."""
        spread = self._squares.value - self._sum.value * self._sum.value / self.count
        return np.maximum(spread, 0) / (self.count - 1)

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """Monte Carlo standard error of the mean, shape (B, ...)."""
        return np.sqrt(self.variance / self.count)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all rows but these."""
        self._origin = self._origin[rows]
        self._sum.keep(rows)
        self._squares.keep(rows)


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy over the last axis, in nats (Shannon 1948); 0 log 0 is 0.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4) + 0.0
    array([0.6931, 0.    ])
    """
    total: NDArray[np.float64] = information(probabilities).sum(axis=-1)
    return total


@cache
def highest_entropy(classes: int) -> float:
    """Give the highest entropy of a number of classes, rounded down to float32, which answers have.

    >>> round(highest_entropy(10), 5), highest_entropy(10) <= math.log(10)
    (2.30258, True)
    """
    exact = math.log(classes)
    nearest = np.float32(exact)
    return float(nearest if float(nearest) <= exact else np.nextafter(nearest, np.float32(0)))


def information(probabilities: NDArray[_Float]) -> NDArray[_Float]:
    """Give -p log p for each probability."""
    information: NDArray[_Float] = probabilities + TINY[probabilities.dtype]
    np.log(information, out=information)
    information *= probabilities
    return np.negative(information, out=information)


def blocks(passes: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    """Cut passes, shape (n, B, ...), into blocks that are summed up at once."""
    count = max(1, _BLOCK // passes[0].size)
    for start in range(0, len(passes), count):
        yield passes[start : start + count]
