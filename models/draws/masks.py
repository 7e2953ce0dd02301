"""Seeded draws for every site: the keep-masks of dropout, and other noise.

A draw is a pure function of (seed, sampler, site, pass): pass 7 of a seed drops the same units whether
10 passes were asked for or 1,000, alone or in a batch, today or after a restart. The random words come
from Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a
counter-based generator, so that pass i is reached without drawing the passes before it.

The passes of the ``independent`` sampler are independent of each other. The ``stratified`` sampler spreads
the draws of a unit evenly over its passes: see `caveat.models.draws.strata`.
"""

import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.dimension import evaluate
from caveat.models.bundles.manifest import Site
from caveat.models.draws.strata import BLOCK, spread

Sampler = Literal["stratified", "independent"]
"""How the draws of several passes depend on each other."""

MAX_SEED = 2**53 - 1
"""The largest seed: a client whose numbers are all doubles can send every seed exactly."""

_STEP = 8  # 32-bit words that Philox 4x64 makes per step of its counter


def draw(
    site: Site,
    seed: int,
    start: int,
    stop: int,
    sizes: Mapping[str, int] = MappingProxyType({}),
    sampler: Sampler = "independent",
) -> NDArray[np.float32]:
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

    Returns
    -------
    NDArray
        Shape ``(stop - start, *site.shape[1:])``. In a pass, a unit is kept independently of all others
        with probability ``1 - rate`` (to within 2**-27), whatever the sampler.

    Examples
    --------
    >>> site = Site(name="drop", kind="dropout", rate=0.5, shape=("passes", 1, 6))
    >>> draw(site, seed=0, start=0, stop=2)
    array([[[0., 0., 0., 0., 2., 0.]],
    <BLANKLINE>
           [[0., 0., 2., 2., 2., 0.]]], dtype=float32)
    """
    shape = tuple(evaluate(size, sizes) for size in site.shape[1:])
    units = math.prod(shape)
    width = -(-units * (2 if site.law == "normal" else 1) // _STEP) * _STEP
    words = _words(f"{seed}/{site.name}", width, start, stop)
    if sampler == "stratified":
        choices = _words(f"{seed}/{site.name}/strata", width, start // BLOCK, -(-stop // BLOCK))
        words = spread(words, choices, start)
    return _LAWS[site.law](words, units, site.rate or 0.0).reshape(stop - start, *shape)


def _keep(words: NDArray[np.uint32], units: int, rate: float) -> NDArray[np.float32]:
    kept = _bernoulli(words, units, rate)
    kept *= np.float32(1 / (1 - rate))
    return kept


def _bernoulli(words: NDArray[np.uint32], units: int, rate: float) -> NDArray[np.float32]:
    last_kept = max(round((1 - rate) * 2**32) - 1, 0)
    return (words[:, :units] <= np.uint32(last_kept)).astype(np.float32)


def _uniform(words: NDArray[np.uint32], units: int, _rate: float) -> NDArray[np.float32]:
    return (words[:, :units] >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _normal(words: NDArray[np.uint32], units: int, _rate: float) -> NDArray[np.float32]:
    # Box & Muller, "A note on the generation of random normal deviates", 1958.
    radius = np.sqrt(-2 * np.log((words[:, :units] + 1.0) * 2**-32))
    angle = words[:, units : 2 * units] * (2 * np.pi * 2**-32)
    normal: NDArray[np.float32] = (radius * np.cos(angle)).astype(np.float32)
    return normal


_LAWS = {"keep": _keep, "bernoulli": _bernoulli, "uniform": _uniform, "normal": _normal}


def _words(stream: str, width: int, start: int, stop: int) -> NDArray[np.uint32]:
    """Make the lines ``start`` to ``stop`` of a stream of random 32-bit words, shape (lines, width)."""
    key = int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=16).digest(), "little")
    generator = np.random.Philox(key=key, counter=start * (width // _STEP))
    words = np.asarray(generator.random_raw((stop - start) * width // 2), dtype="<u8").view("<u4")
    return words.reshape(stop - start, width)
