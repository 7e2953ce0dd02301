"""The standard error of the mean of stratified passes, which avoid each other."""

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.draws.strata import BLOCK
from caveat.models.tasks.facts import ErrorRatios

_KEPT: Final = 256  # numbers of passes; a client asks for few different ones


def stratified(errors: NDArray[np.float64], passes: int, known: ErrorRatios) -> NDArray[np.float64]:
    """Turn standard errors of the mean of independent passes into those of stratified ones.

    Parameters
    ----------
    errors
        Standard errors of B rows, shape (B, ...).
    passes
        Number of passes.
    known
        How exact the mean of a block of passes is, by the variance of the output.
    """
    factors = _relative_errors(passes, known)
    found: NDArray[np.float64] = errors * factors[groups(errors * errors * passes, known)]
    return found


def groups(variance: NDArray[np.float64], known: ErrorRatios) -> NDArray[np.intp]:
    """Find the group of each variance: 0 is below all ratios, and the last is that of the first ratio."""
    if isinstance(known.greatest, tuple):
        variance = variance / np.maximum(known.greatest, np.finfo(np.float64).tiny)
    return _bounds(known).searchsorted(variance)


@lru_cache
def _bounds(known: ErrorRatios) -> NDArray[np.float64]:
    """Give the variances above which ratios hold, ascending; of several targets in units of the greatest."""
    halves: NDArray[np.float64] = 0.5 ** np.arange(len(known.ratios), 0, -1.0)
    return halves if isinstance(known.greatest, tuple) else halves * known.greatest


@lru_cache(_KEPT)
def _relative_errors(passes: int, known: ErrorRatios) -> NDArray[np.float64]:
    """Give the relative error of each group."""
    factors: NDArray[np.float64] = relative_error(passes, np.array([1.0, *reversed(known.ratios)]))
    return factors


def relative_error(passes: int, ratio: Any) -> Any:
    """Give the error of the mean of stratified passes, in units of that of independent ones.

    Every two passes of a block are correlated alike, and passes of different blocks not at all. So the error
    of the mean over a block settles that of any number of passes.

    Parameters
    ----------
    passes
        Number of passes, from the beginning of a block on.
    ratio
        The same for a whole block.

    Examples
    --------
    >>> [round(float(relative_error(passes, 0.5)), 3) for passes in (1, 13, 25, 38, 100)]
    [1.0, 0.791, 0.5, 0.615, 0.5]
    """
    blocks, rest = divmod(passes, BLOCK)
    pairs = blocks * BLOCK * (BLOCK - 1) + rest * (rest - 1)
    correlation = (ratio**2 - 1) / (BLOCK - 1)
    return np.sqrt(np.maximum(1 + correlation * pairs / passes, 0))
