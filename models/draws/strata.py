"""Uniform numbers spread evenly over blocks of passes: a Latin hypercube.

In every block of 25 passes, each unit gets one number from each 25th (stratum) of the unit interval (McKay,
Beckman & Conover, "A comparison of three methods for selecting values of input variables", 1979), so
that a dropout of rate 0.2 keeps a unit in exactly 20 of the 25. An affine map of the field with 25
elements, drawn for each unit, assigns the strata to the passes. The 600 maps send every two passes to
every two strata equally often, so means, variances and covariances are those of a permutation drawn
from all permutations, for one random word per unit and block instead of a shuffle.
"""

from functools import cache
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 25
"""Passes over which the numbers of a unit are spread."""

_PRIME = 5
_NON_RESIDUE = 2  # not a square modulo 5: the integers modulo 5 with its root make the field of 25 elements


def spread(words: NDArray[np.uint32], choices: NDArray[np.uint32], first: int) -> NDArray[np.uint32]:
    """Spread uniform words over their blocks of passes.

    Parameters
    ----------
    words
        Shape (n, units): independent, uniform over all 32-bit words, for the passes from ``first`` on.
    choices
        Shape (blocks, units): words as above, for all blocks of `BLOCK` passes that contain these passes.
    first
        Number of the first pass.

    Returns
    -------
    NDArray
        Shape (n, units): each word is still uniform, and the words of a unit are spread evenly in each block.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> words = random.integers(2**32, size=(25, 1), dtype=np.uint32)
    >>> even = spread(words, random.integers(2**32, size=(1, 1), dtype=np.uint32), first=0)
    >>> np.sort(even[:, 0] / 2**32 * 25).astype(int).tolist() == list(range(25))
    True
    """
    tables = _lowest_words()
    chosen = (choices.astype(np.uint64) * np.uint64(tables.shape[1]) >> np.uint64(32)).astype(np.intp)
    even = words // np.uint32(BLOCK)
    for line, number in zip(even, count(first), strict=False):
        line += tables[number % BLOCK].take(chosen[number // BLOCK - first // BLOCK])
    return even


@cache
def _lowest_words() -> NDArray[np.uint32]:
    """Give the lowest word of each pass's stratum under each map, shape (25, 600)."""
    strata = affine_maps().T.astype(np.uint64)
    return (strata * np.uint64(2**32) // np.uint64(BLOCK)).astype(np.uint32)


def affine_maps() -> NDArray[np.uint8]:
    """List x -> a x + b over the field with 25 elements, for a other than 0: shape (600, 25)."""
    low, high = np.arange(BLOCK) % _PRIME, np.arange(BLOCK) // _PRIME
    a_low, a_high = low[1:, None], high[1:, None]
    product_low = a_low * low + _NON_RESIDUE * a_high * high
    product_high = a_low * high + a_high * low
    sum_low = (product_low[:, None] + low[:, None]) % _PRIME
    sum_high = (product_high[:, None] + high[:, None]) % _PRIME
    return (sum_high * _PRIME + sum_low).reshape(-1, BLOCK).astype(np.uint8)
