"""A uniform number for each row, which depends on the row alone.

Randomised prediction sets need a random number for each row. If it came from the seed of a request, equal
rows would get other sets by other seeds, and whoever chooses the seed would choose the set. As a function of
the row it is part of the row, so that rows that are exchangeable stay so.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHANCE: Final = "chance"
"""The column that has it, of answers of a model that makes randomised sets; it is not part of an answer that
is written."""


def chances(inputs: Mapping[str, NDArray[Any]], seed: int) -> NDArray[np.float64]:
    """Give a number on [0, 1) for each of B rows, by BLAKE2 keyed with the seed (Aumasson et al. 2013).

    Parameters
    ----------
    inputs
        B rows as the graphs take them, by the name of the input.
    seed
        Seed of the calibration.

    Examples
    --------
    >>> chances({"x": np.array([[1.0], [2.0], [1.0]])}, seed=0).round(4)
    array([0.8183, 0.6758, 0.8183])
    """
    key = seed.to_bytes(8, "little")
    arrays = [_plain(inputs[name]) for name in sorted(inputs)]
    shapes = repr([array.shape[1:] for array in arrays]).encode()
    words = bytearray()
    for row in range(len(arrays[0])):
        digest = hashlib.blake2b(shapes, key=key, digest_size=8)
        for array in arrays:
            digest.update(array[row].tobytes())
        words += digest.digest()
    found: NDArray[np.float64] = (np.frombuffer(words, "<u8") >> np.uint64(11)) * np.float64(2.0**-53)
    return found


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Lay rows out one after the other, with one form each of zero and of a missing value, NaN."""
    plain = np.ascontiguousarray(array + array.dtype.type(0))
    if plain.dtype.kind == "f":
        plain[np.isnan(plain)] = np.nan
    return plain
