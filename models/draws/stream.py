"""Streams of random bytes that can be read from any place.

The bytes come from Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a
counter-based generator: what lies before is never made.
"""

import hashlib
from threading import local
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

_STEP: Final = 32
"""Bytes that Philox makes per step of its counter."""

_OF_THIS_THREAD: Final = local()


class Stream:
    """A stream of random bytes, in lines of equal width.

    Parameters
    ----------
    name
        Name of the stream: another name gives an independent stream.
    """

    def __init__(self, name: str) -> None:
        self._key = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=16).digest(), "<u8")

    def lines(self, kind: DTypeLike, width: int, first: int, last: int, part: slice) -> NDArray[Any]:
        """Read a part of the lines ``first`` to ``last`` (exclusive).

        Parameters
        ----------
        kind
            Type of the numbers: unsigned integers of 1, 2, 4 or 8 bytes.
        width
            Numbers in a line.
        part
            The numbers of each line to read, from a multiple of `_STEP` on.

        Returns
        -------
        NDArray
            Shape (last - first, part), uniform over all numbers of the kind.
        """
        size = np.dtype(kind).itemsize
        steps, before = -(-width * size // _STEP), part.start * size // _STEP
        wanted = part.stop - part.start
        if wanted == width:  # the lines lie one behind the other
            numbers = self._read(first * steps, (last - first) * steps, kind)
            return numbers.reshape(last - first, -1)[:, :width]
        taken = -(-wanted * size // _STEP)
        read = [self._read(line * steps + before, taken, kind)[:wanted] for line in range(first, last)]
        return read[0][None] if len(read) == 1 else np.stack(read)

    def _read(self, start: int, steps: int, kind: DTypeLike) -> NDArray[Any]:
        generator = _generator()
        # A generator takes five times as long to make as to set.
        generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": np.array([start, 0, 0, 0], np.uint64), "key": self._key},
            "buffer": _NO_BUFFER,
            "buffer_pos": len(_NO_BUFFER),
            "has_uint32": 0,
            "uinteger": 0,
        }
        raw = np.asarray(generator.random_raw(steps * _STEP // 8), dtype="<u8")
        return raw.view(np.dtype(kind).newbyteorder("<"))


_NO_BUFFER: Final = np.zeros(4, np.uint64)


def _generator() -> np.random.Philox:
    if not hasattr(_OF_THIS_THREAD, "generator"):
        _OF_THIS_THREAD.generator = np.random.Philox(key=0)
    made: np.random.Philox = _OF_THIS_THREAD.generator
    return made
