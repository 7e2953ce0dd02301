"""Seeded draws for every site: the keep-masks of dropout, and other noise.

A draw is a pure function of (seed, site, pass): pass 7 of a seed drops the same units whether 10
passes were asked for or 1,000, alone or in a batch, today or after a restart. The random words come
from Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a
counter-based generator, so that pass i is reached without drawing the passes before it.
"""

import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.dimension import evaluate
from models.manifest import Site

MAX_SEED = 2**53 - 1
"""Seeds are integers that survive a client whose numbers are all doubles."""

_BLOCK = 8  # 32-bit words that Philox 4x64 makes per step of its counter


def draw(
    site: Site, seed: int, start: int, stop: int, sizes: Mapping[str, int] = MappingProxyType({})
) -> NDArray[np.float32]:
    """Draw for one site, for the passes ``start`` to ``stop`` (exclusive).

    Parameters
    ----------
    site
        The site; its law says what is drawn, its shape how much of it in a pass.
    seed
        Chosen by the client, from 0 to `MAX_SEED`.
    sizes
        The sizes that the request chose, where the shape depends on them.

    Returns
    -------
    NDArray
        Shape ``(stop - start, *site.shape[1:])``. A unit is kept independently of all others with
        probability ``1 - rate`` (to within 2**-32).

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
    blocks = -(-units * (2 if site.law == "normal" else 1) // _BLOCK)
    words = _words(site.name, seed, start * blocks, (stop - start) * blocks)
    values = _LAWS[site.law](words.reshape(stop - start, blocks * _BLOCK), units, site.rate or 0.0)
    return values.reshape(stop - start, *shape)


def _keep(words: NDArray[np.uint32], units: int, rate: float) -> NDArray[np.float32]:
    return _bernoulli(words, units, rate) * np.float32(1 / (1 - rate))


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


def _words(site: str, seed: int, start: int, blocks: int) -> NDArray[np.uint32]:
    """Make ``blocks`` blocks of random 32-bit words, from block ``start`` of the stream of (seed, site)."""
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{site}".encode(), digest_size=16).digest(), "little")
    stream = np.random.Philox(key=key, counter=start).random_raw(blocks * _BLOCK // 2)
    return np.asarray(stream, dtype="<u8").view("<u4")
