"""Which units each pass keeps.

Masks have one byte a unit: 1 for a unit that is kept, 0 for a dropped one. In a pass, a unit is kept with
probability 1 - rate to within 2**-27, independently of all other units.

An independent mask takes 8 random bits a unit. Where they don't settle whether the unit is kept, which is the
case for one byte in 256 at most, further bits do.

The stratified masks of a block of `BLOCK` passes take 32 random bits a unit: they choose an affine map (see
`caveat.models.draws.strata`), which says in which passes the unit is kept for sure and in which one it may
be, and whether it is. What they say is one *pattern* of `BLOCK` bits; a mask is one bit of each pattern.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.draws.pieces import in_pieces
from caveat.models.draws.strata import BLOCK, affine_maps
from caveat.models.draws.stream import BYTES, LONG_WORDS, WORDS, Stream

Mask = NDArray[np.uint8]
"""Shape (passes, units): 1 for a unit that is kept."""

Patterns = NDArray[np.uint8]
"""Shape (blocks, 4, units): bit i of byte j says whether pass 8 j + i of the block keeps the unit."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def independent(stream: str, rate: float, units: int, start: int, stop: int, threads: int = 1) -> Mask:
    """Draw the masks of the passes ``start`` to ``stop`` (exclusive), each independent of the others.

    Parameters
    ----------
    stream
        Name of the stream of random bits.
    rate
        Probability that a unit is dropped.
    threads
        Most threads to use.
    """
    settled, rest = divmod(min(round((1 - rate) * 2**32), 2**32 - 1), 2**24)
    bits, further = Stream(stream), Stream(f"{stream}/further")
    kept = np.empty((stop - start, units), np.bool_)

    def work(part: slice) -> None:
        random = bits.lines(BYTES, units, start, stop, part)
        np.less(random, settled, out=kept[:, part])
        if rest:
            passes, places = np.nonzero(random == settled)
            places += part.start
            numbers = (passes + start).astype(np.uint64) * np.uint64(units) + places.astype(np.uint64)
            kept[passes, places] = _mixed(numbers, further) < rest

    in_pieces(work, units, threads)
    return kept.view(np.uint8)


def _mixed(numbers: NDArray[np.uint64], stream: Stream) -> NDArray[np.uint64]:
    """Give the numbers at these places of a stream, uniform over 24 bits.

    SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) gives the
    numbers of scattered places at once.
    """
    mixed: NDArray[np.uint64] = stream.lines(LONG_WORDS, 1, 0, 1, slice(0, 1))[0] + numbers * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed >> np.uint64(40)


def patterns(stream: str, rate: float, units: int, first: int, last: int, threads: int = 1) -> Patterns:
    """Draw the patterns of the blocks ``first`` to ``last`` (exclusive); see `independent`."""
    by_choice, edge = _patterns_by_choice(rate)
    maps = np.uint64(len(by_choice) // 2)
    choices = Stream(stream)
    found = np.empty((last - first, 4, units), np.uint8)

    def work(part: slice) -> None:
        chosen = choices.lines(WORDS, units, first, last, part) * maps
        index = (chosen >> np.uint64(32)).astype(np.uint32)
        index *= np.uint32(2)
        if edge:
            index += chosen.astype(np.uint32) < edge  # the lower half is uniform, whatever the upper half
        each = by_choice.take(index).view(np.uint8).reshape(*index.shape, 4)
        found[:, :, part] = each.swapaxes(1, 2)

    in_pieces(work, units, threads)
    return found


def unfolded(blocks: Patterns, first: int, start: int, stop: int, threads: int = 1) -> Mask:
    """Take the masks of the passes ``start`` to ``stop`` from the patterns of blocks from ``first`` on."""
    block, byte, bit = _places(start - first * BLOCK, stop - first * BLOCK)
    units = blocks.shape[2]
    kept = np.empty((stop - start, units), np.bool_)

    def work(part: slice) -> None:
        np.not_equal(blocks[block, byte, part] & bit, 0, out=kept[:, part])

    in_pieces(work, units, threads)
    return kept.view(np.uint8)


@lru_cache
def _places(start: int, stop: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8]]:
    """Give the block, the byte and the bit of each of these passes, counted from a block's first."""
    passes = np.arange(start, stop)
    place = passes % BLOCK
    return passes // BLOCK, place // 8, (1 << place % 8).astype(np.uint8)[:, None]


@lru_cache
def _patterns_by_choice(rate: float) -> tuple[NDArray[np.uint32], np.uint32]:
    """Give the patterns of each affine map, and how often to take which.

    Returns
    -------
    patterns, edge
        Shape (2 * 600,): two for each map, in which the unsure pass drops and keeps the unit. And the
        probability of the second, times 2**32.
    """
    sure, edge = divmod(round((1 - rate) * BLOCK * 2**32), 2**32)
    strata = affine_maps()
    bits = np.uint32(1) << np.arange(BLOCK, dtype=np.uint32)
    kept = ((strata < sure) * bits).sum(axis=1, dtype=np.uint32)
    unsure = ((strata == sure) * bits).sum(axis=1, dtype=np.uint32)
    return np.stack([kept, kept | unsure], axis=1).ravel().astype("<u4"), np.uint32(edge)
