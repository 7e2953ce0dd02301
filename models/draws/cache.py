"""The draws of all sites of a model, and what is kept of them for the next run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Site
from caveat.models.draws import keeping
from caveat.models.draws.keeping import Patterns
from caveat.models.draws.masks import Sampler, draw
from caveat.models.draws.pieces import PIECE
from caveat.models.errors import InputError

KEPT_BYTES: Final = 2**25
"""Most bytes of draws that a model keeps for the seed that most requests share (32 MiB)."""

KEPT_PASSES: Final = 100
"""Passes in each piece of draws that is kept: the number that a request asks for by default."""

LATEST_BYTES: Final = 2**28
"""Most bytes of the latest draws that a model keeps, and of their patterns (256 MiB each)."""

Drawn = dict[str, NDArray[Any]]
"""Draws by the name of their site; the first axis of each is the pass."""


class DrawCache:
    """Makes draws, and keeps those that the next run may need.

    The latest draws are kept, since runs over several blocks of rows share them, and the latest block of
    patterns of each site, which 25 passes share. Draws of one seed are kept in pieces of `KEPT_PASSES`, the
    last used ones.

    Parameters
    ----------
    sites
        The sites of a model.
    kept_seed
        The seed whose draws are kept, such as the default seed of requests; None keeps no draws.
    threads
        Most threads that a large draw may use.
    """

    def __init__(self, sites: Sequence[Site], kept_seed: int | None = None, threads: int = 1) -> None:
        self._sites = sites
        self._kept_seed = kept_seed
        self._threads = threads
        self._kept: dict[object, Drawn] = {}  # ordered by their last use, the oldest first
        self._bytes = 0
        self._latest: tuple[object, Drawn] = (None, {})
        self._patterns = _LatestPatterns()
        self._patterns_of: object = None  # the seed and sizes that the patterns belong to
        self._lock = Lock()

    def make(self, seed: int, sampler: Sampler, start: int, stop: int, sizes: Mapping[str, int]) -> Drawn:
        """Make the draws of the passes ``start`` to ``stop`` (exclusive); see `masks.draw`."""
        if sizes:
            self._refuse_too_small(sizes)
        with self._lock:
            if seed == self._kept_seed and (kept := self._from_pieces(sampler, start, stop, sizes)):
                return kept
            key = (seed, sampler, start, stop, *sizes.items())
            if self._latest[0] == key:
                return self._latest[1]
            self._latest = (None, {})  # before the next draws take as much memory
            drawn = self._draw(seed, sampler, start, stop, sizes)
            if _bytes_of(drawn) <= LATEST_BYTES:
                self._latest = (key, drawn)
            return drawn

    def _from_pieces(self, sampler: Sampler, start: int, stop: int, sizes: Mapping[str, int]) -> Drawn:
        """Give the draws of the kept seed; empty if they are too large to keep."""
        first = start // KEPT_PASSES
        pieces = [self._piece(number, sampler, sizes) for number in range(first, -(-stop // KEPT_PASSES))]
        if not all(pieces):
            return {}
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
                self._bytes -= _bytes_of(oldest)
            self._bytes += size
            start = number * KEPT_PASSES
            piece = self._draw(self._kept_seed or 0, sampler, start, start + KEPT_PASSES, sizes)
        self._kept[key] = piece  # now the last used, at the end
        return piece

    def _bytes_of_a_piece(self, sizes: Mapping[str, int]) -> int:
        return KEPT_PASSES * sum(
            np.dtype(site.dtype).itemsize * math.prod(site.shape_at(sizes)) for site in self._sites
        )

    def _refuse_too_small(self, sizes: Mapping[str, int]) -> None:
        if min(size for site in self._sites for size in (*site.shape_at(sizes), 1)) < 1:
            got = " and ".join(f"a {name} of {size}" for name, size in sizes.items())
            raise InputError("inputs", "sizes that the network can run on", got)

    def _draw(self, seed: int, sampler: Sampler, start: int, stop: int, sizes: Mapping[str, int]) -> Drawn:
        of = (seed, *sizes.items())
        if self._patterns_of != of:
            self._patterns, self._patterns_of = _LatestPatterns(), of
        return {
            site.name: draw(site, seed, start, stop, sizes, sampler, self._threads, self._patterns)
            for site in self._sites
        }


class _LatestPatterns:
    """Draws patterns, and keeps the last block of each large site for the passes that come next."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Patterns]] = {}  # number of a block and its patterns, by stream

    def __call__(self, stream: str, rate: float, units: int, first: int, last: int, threads: int) -> Patterns:
        """Draw patterns; see `keeping.patterns`."""
        if units < PIECE:
            return keeping.patterns(stream, rate, units, first, last, threads)
        number, kept = self._kept.pop(stream, (None, None))
        if kept is None or number != first:
            found = keeping.patterns(stream, rate, units, first, last, threads)
        elif last == first + 1:
            found = kept
        else:
            found = np.concatenate([kept, keeping.patterns(stream, rate, units, first + 1, last, threads)])
        end = found[-1:] if len(found) == 1 else found[-1:].copy()
        if end.nbytes + sum(patterns.nbytes for _, patterns in self._kept.values()) <= LATEST_BYTES:
            self._kept[stream] = (last - 1, end)
        return found


def _bytes_of(drawn: Drawn) -> int:
    return sum(array.nbytes for array in drawn.values())


def _joined(pieces: Iterable[NDArray[Any]]) -> NDArray[Any]:
    first, *others = pieces
    return np.concatenate([first, *others]) if others else first
