"""The draws of all sites of a model, with a cache for the seed that most requests share."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.dimension import evaluate
from caveat.models.bundles.manifest import Site
from caveat.models.draws.masks import Sampler, draw
from caveat.models.errors import InputError

KEPT_BYTES: Final = 2**25
"""Most bytes of draws that a model keeps (32 MiB)."""

KEPT_PASSES: Final = 100
"""Passes in each piece of draws that is kept: the number that a request asks for by default."""

Drawn = dict[str, NDArray[np.float32]]
"""Draws by the name of their site; the first axis of each is the pass."""


class DrawCache:
    """Makes draws, and keeps those of one seed in pieces of `KEPT_PASSES`, the last used ones.

    Parameters
    ----------
    sites
        The sites of a model.
    kept_seed
        The seed whose draws are kept, such as the default seed of requests; None keeps no draws.
    """

    def __init__(self, sites: Sequence[Site], kept_seed: int | None = None) -> None:
        self._sites = sites
        self._kept_seed = kept_seed
        self._kept: dict[object, Drawn] = {}  # ordered by their last use, the oldest first
        self._bytes = 0

    def make(self, seed: int, sampler: Sampler, start: int, stop: int, sizes: Mapping[str, int]) -> Drawn:
        """Make the draws of the passes ``start`` to ``stop`` (exclusive); see `masks.draw`."""
        if sizes:
            self._refuse_too_small(sizes)
        if seed != self._kept_seed:
            return self._draw(seed, sampler, start, stop, sizes)
        first = start // KEPT_PASSES
        pieces = [self._piece(number, sampler, sizes) for number in range(first, -(-stop // KEPT_PASSES))]
        if not all(pieces):
            return self._draw(seed, sampler, start, stop, sizes)
        start, stop = start - first * KEPT_PASSES, stop - first * KEPT_PASSES
        return {site.name: _joined(piece[site.name] for piece in pieces)[start:stop] for site in self._sites}

    def _piece(self, number: int, sampler: Sampler, sizes: Mapping[str, int]) -> Drawn:
        """Give the draws of piece ``number``; empty if a piece is too large to keep."""
        key = (number, sampler, *sizes.items())
        piece = self._kept.pop(key, None)
        if piece is None:
            size = self._bytes_of_a_piece(sizes)
            if size > KEPT_BYTES:
                return {}
            while self._bytes + size > KEPT_BYTES:
                oldest = self._kept.pop(next(iter(self._kept)))
                self._bytes -= sum(array.nbytes for array in oldest.values())
            self._bytes += size
            start = number * KEPT_PASSES
            piece = self._draw(self._kept_seed or 0, sampler, start, start + KEPT_PASSES, sizes)
        self._kept[key] = piece  # now the last used, at the end
        return piece

    def _bytes_of_a_piece(self, sizes: Mapping[str, int]) -> int:
        units = (math.prod(evaluate(size, sizes) for size in site.shape[1:]) for site in self._sites)
        return KEPT_PASSES * np.dtype(np.float32).itemsize * sum(units)

    def _refuse_too_small(self, sizes: Mapping[str, int]) -> None:
        if min(evaluate(size, sizes) for site in self._sites for size in (*site.shape[1:], 1)) < 1:
            got = " and ".join(f"a {name} of {size}" for name, size in sizes.items())
            raise InputError("inputs", "sizes that the network can run on", got)

    def _draw(self, seed: int, sampler: Sampler, start: int, stop: int, sizes: Mapping[str, int]) -> Drawn:
        return {site.name: draw(site, seed, start, stop, sizes, sampler) for site in self._sites}


def _joined(pieces: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    first, *others = pieces
    return np.concatenate([first, *others]) if others else first
