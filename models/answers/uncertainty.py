"""Statistics of passes: mean, variance, standard error, entropies.

Passes arrive in chunks, and none is kept. All sums run over the passes in their order, in float64, so that
the bits of a row's statistics depend neither on the cut into chunks nor on the other rows of a batch.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Manifest

Columns = Mapping[str, NDArray[Any]]
"""The fields of an answer by name; the first axis of each is the row."""

_Float = TypeVar("_Float", np.float32, np.float64)

_TINY: Final = {np.dtype(kind): np.finfo(kind).tiny for kind in (np.float16, np.float32, np.float64)}
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
        """Give the standard error of each row's mean, shape (B,): the largest over classes or targets."""

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


class ClassificationSummary:
    """Statistics of passes of class probabilities, shape (n, B, C).

    ``predictive_entropy`` is the entropy of the mean, ``expected_entropy`` the mean of the entropies,
    and ``mutual_information`` their difference, all in nats (Houlsby et al., "Bayesian active
    learning for classification and preference learning", 2011, eq. 2). ``label`` is the index of the
    most probable class.

    The mean over N passes has a lower entropy than the mean over infinitely many, in expectation by
    ``sum(variance / mean) / (2 N)`` to the first order in 1 / N (the delta method). ``predictive_entropy``
    adds this difference, so that with few passes it may exceed the logarithm of the number of classes.
    """

    def __init__(self) -> None:
        self._probabilities = Moments()
        self._information = Total()

    def add(self, passes: NDArray[np.floating]) -> None:
        """Add the next chunk of passes, shape (n, B, C)."""
        for block in _blocks(passes):
            self._probabilities.add(block)
            self._information.add(_information(block).astype(np.float64))

    def standard_error(self) -> NDArray[np.float64]:
        """Give the standard error of each row's mean, shape (B,): the largest over its classes."""
        worst: NDArray[np.float64] = self._probabilities.standard_error.max(axis=-1)
        return worst

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all rows but these."""
        self._probabilities.keep(rows)
        self._information.keep(rows)

    def columns(self) -> Columns:
        """Give ``mean``, ``variance`` and ``standard_error`` (B, C), ``label`` and entropies (B,)."""
        mean, variance = self._probabilities.mean, self._probabilities.variance
        count = self._probabilities.count
        bias = (variance / np.maximum(mean, _TINY[mean.dtype])).sum(axis=-1) / (2 * count)
        predictive = entropy(mean) + bias
        expected = self._information.value.sum(axis=-1) / count
        return {
            "label": mean.argmax(axis=-1),
            "mean": _single(mean),
            "variance": _single(variance),
            "standard_error": _single(np.sqrt(variance / count)),
            "predictive_entropy": _single(predictive),
            "expected_entropy": _single(expected),
            "mutual_information": _single(np.maximum(predictive - expected, 0)),
        }


class RegressionSummary:
    """Statistics of passes of predicted values, shape (n, B), or of values and noise variances, (n, B, 2).

    For T targets the shapes are (n, B, T) and (n, B, T, 2), and the statistics of each target are its own.

    The variance of a new observation is the sum of the network's epistemic variance and of the target's
    own noise, its aleatoric variance (law of total variance; Kendall & Gal, "What uncertainties do we need
    in Bayesian deep learning for computer vision?", 2017, eq. 9).

    Parameters
    ----------
    noise_variance
        The target's own variance around its mean, in its units squared, one for each of several targets;
        None if the network predicts it.
    """

    def __init__(self, noise_variance: float | tuple[float, ...] | None) -> None:
        self._values = Moments()
        self._noise = Total()
        self._noise_variance = noise_variance

    def add(self, passes: NDArray[np.floating]) -> None:
        """Add the next chunk of passes."""
        for block in _blocks(passes):
            if self._noise_variance is None:
                self._noise.add(block[..., 1].astype(np.float64))
                block = np.ascontiguousarray(block[..., 0])
            self._values.add(block)

    def standard_error(self) -> NDArray[np.float64]:
        """Give the standard error of each row's mean, shape (B,), in the target's units.

        For several targets this is the largest of their standard errors.
        """
        errors = self._values.standard_error
        worst: NDArray[np.float64] = errors.reshape(len(errors), -1).max(axis=-1)
        return worst

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all rows but these."""
        self._values.keep(rows)
        if self._noise_variance is None:
            self._noise.keep(rows)

    def columns(self) -> Columns:
        """Give ``mean`` and ``standard_error`` in the target's units, and variances in these units squared.

        All have shape (B,), or (B, T) for T targets.
        """
        epistemic = self._values.variance
        if self._noise_variance is None:
            aleatoric = self._noise.value / self._values.count
        else:
            aleatoric = np.full_like(epistemic, self._noise_variance)
        return {
            "mean": self._values.mean,
            "variance": epistemic + aleatoric,
            "epistemic_variance": epistemic,
            "aleatoric_variance": aleatoric,
            "standard_error": self._values.standard_error,
        }


def summary(manifest: Manifest) -> Summary:
    """Make the summary for a model's task."""
    if manifest.task == "classification":
        return ClassificationSummary()
    return RegressionSummary(manifest.noise_variance)


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy over the last axis, in nats (Shannon 1948); 0 log 0 is 0.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4) + 0.0
    array([0.6931, 0.    ])
    """
    total: NDArray[np.float64] = _information(probabilities).sum(axis=-1)
    return total


def _information(probabilities: NDArray[_Float]) -> NDArray[_Float]:
    """Compute -p log p for each probability."""
    information: NDArray[_Float] = probabilities + _TINY[probabilities.dtype]
    np.log(information, out=information)
    information *= probabilities
    return np.negative(information, out=information)


def _blocks(passes: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    count = max(1, _BLOCK // passes[0].size)
    for start in range(0, len(passes), count):
        yield passes[start : start + count]


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)
