"""Seeded draws for every site: the keep-masks of dropout, and other noise.

A draw is a pure function of (seed, sampler, site, pass): pass 7 of a seed drops the same units whether
10 passes were asked for or 1,000, alone or in a batch, today or after a restart.

The passes of the ``independent`` sampler are independent of each other. The ``stratified`` sampler spreads
the draws of a unit evenly over its passes: see `caveat.models.draws.strata`.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Site
from caveat.models.draws import keeping
from caveat.models.draws.keeping import Mask, Patterns, unfolded
from caveat.models.draws.strata import BLOCK, spread
from caveat.models.draws.stream import WORDS, Stream

Sampler = Literal["stratified", "independent"]
"""How the draws of several passes depend on each other."""

MAX_SEED = 2**53 - 1
"""The largest seed: a client whose numbers are all doubles can send every seed exactly."""


class MakePatterns(Protocol):
    """Draws patterns, or knows those that it has drawn; see `keeping.patterns`."""

    def __call__(self, stream: str, rate: float, units: int, first: int, last: int, threads: int) -> Patterns:
        """Give the patterns of some blocks."""


def draw(
    site: Site,
    seed: int,
    start: int,
    stop: int,
    sizes: Mapping[str, int] = MappingProxyType({}),
    sampler: Sampler = "independent",
    threads: int = 1,
    patterns: MakePatterns = keeping.patterns,
) -> NDArray[Any]:
    """Draw for one site, for the passes ``start`` to ``stop`` (exclusive).

    Parameters
    ----------
    site
        The site: its law is the distribution of a draw, its shape the number of draws in a pass.
    seed
        Seed of the request, from 0 to `MAX_SEED`.
    sizes
        Sizes that the request chose, by name, if the site's shape depends on them.
    sampler
        ``independent`` passes, or passes ``stratified`` over each block of `BLOCK`.
    threads
        Most threads to use for a large draw.
    patterns
        Draws the patterns of stratified masks.

    Returns
    -------
    NDArray
        Shape ``(stop - start, *site.shape[1:])``; of bytes for the law ``keep``, else of float32.

    Examples
    --------
    >>> site = Site(name="drop", kind="dropout", rate=0.5, shape=("passes", 1, 6))
    >>> draw(site, seed=0, start=0, stop=2)
    array([[[1, 0, 0, 0, 1, 1]],
    <BLANKLINE>
           [[1, 1, 1, 0, 1, 1]]], dtype=uint8)
    """
    shape = site.shape_at(sizes)
    units = math.prod(shape)
    stream = f"{seed}/{site.name}"
    values: NDArray[Any] = (
        _noise(site, stream, units, start, stop, sampler)
        if site.rate is None
        else _kept(stream, site.rate, units, start, stop, sampler, threads, patterns)
    )
    return values.reshape(stop - start, *shape).astype(site.dtype, copy=False)


def _kept(
    stream: str,
    rate: float,
    units: int,
    start: int,
    stop: int,
    sampler: Sampler,
    threads: int,
    patterns: MakePatterns,
) -> Mask:
    if sampler == "independent":
        return keeping.independent(stream, rate, units, start, stop, threads)
    first, last = start // BLOCK, -(-stop // BLOCK)
    return unfolded(
        patterns(f"{stream}/strata", rate, units, first, last, threads), first, start, stop, threads
    )


def _noise(
    site: Site, stream: str, units: int, start: int, stop: int, sampler: Sampler
) -> NDArray[np.float32]:
    width = 2 * units if site.law == "normal" else units
    words = _words(stream, width, start, stop)
    if sampler == "stratified":
        choices = _words(f"{stream}/strata", width, start // BLOCK, -(-stop // BLOCK))
        words = spread(words, choices, start)
    return _normal(words, units) if site.law == "normal" else _uniform(words)


def _words(stream: str, width: int, first: int, last: int) -> NDArray[np.uint32]:
    return Stream(stream).lines(WORDS, width, first, last, slice(0, width))


def _uniform(words: NDArray[np.uint32]) -> NDArray[np.float32]:
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _normal(words: NDArray[np.uint32], units: int) -> NDArray[np.float32]:
    # Box & Muller, "A note on the generation of random normal deviates", 1958.
    radius = np.sqrt(-2 * np.log((words[:, :units] + 1.0) * 2**-32))
    angle = words[:, units:] * (2 * np.pi * 2**-32)
    normal: NDArray[np.float32] = (radius * np.cos(angle)).astype(np.float32)
    return normal
