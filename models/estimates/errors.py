"""The standard error of the mean of stratified passes, which avoid each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.draws.strata import BLOCK
from caveat.models.tasks.facts import ErrorRatios


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
    ratios = np.array([*known.ratios, 1.0])[places(errors**2 * passes, known)]
    found: NDArray[np.float64] = errors * relative_error(passes, ratios)
    return found


def places(variance: NDArray[np.float64], known: ErrorRatios) -> NDArray[np.intp]:
    """Find the place of variances in the ratios, which stand for a halving each; the last is beyond them."""
    with np.errstate(divide="ignore", invalid="ignore"):
        halvings = np.floor(np.log2(np.asarray(known.greatest) / variance))
    return np.nan_to_num(halvings, nan=np.inf).clip(0, len(known.ratios)).astype(np.intp)


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
