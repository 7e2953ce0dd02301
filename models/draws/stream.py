"""Streams of random bytes that can be read from any place.

The bytes come from Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a
counter-based generator: what lies before is never made.
"""

import hashlib
from threading import local
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_STEP: Final = 32
"""Bytes that Philox makes per step of its counter."""

BYTES: Final = np.dtype("u1")
WORDS: Final = np.dtype("<u4")
LONG_WORDS: Final = np.dtype("<u8")


class Stream:
    """A stream of random bytes, in lines of equal width.

    Parameters
    ----------
    name
        Name of the stream: another name gives an independent stream.
    """

    def __init__(self, name: str) -> None:
        self._key = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=16).digest(), "<u8")

    def lines(self, kind: np.dtype[Any], width: int, first: int, last: int, part: slice) -> NDArray[Any]:
        """Read a part of the lines ``first`` to ``last`` (exclusive).

        Parameters
        ----------
        kind
            Type of the numbers: `BYTES`, `WORDS` or `LONG_WORDS`.
        width
            Numbers in a line.
        part
            The numbers of each line to read, from a multiple of `_STEP` on.

        Returns
        -------
        NDArray
            Shape (last - first, part), uniform over all numbers of the kind.
        """
        size = kind.itemsize
        steps, before = -(-width * size // _STEP), part.start * size // _STEP
        wanted = part.stop - part.start
        if wanted == width:  # the lines lie one behind the other
            numbers = self._read(first * steps, (last - first) * steps, kind)
            return numbers.reshape(last - first, -1)[:, :width]
        taken = -(-wanted * size // _STEP)
        read = [self._read(line * steps + before, taken, kind)[:wanted] for line in range(first, last)]
        return read[0][None] if len(read) == 1 else np.stack(read)

    def _read(self, start: int, steps: int, kind: np.dtype[Any]) -> NDArray[Any]:
        counter = _OF_THIS_THREAD.counter
        counter[0] = start
        # A generator takes several times as long to make as to set.
        _OF_THIS_THREAD.generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": counter, "key": self._key},
            "buffer": _NO_BUFFER,
            "buffer_pos": len(_NO_BUFFER),
            "has_uint32": 0,
            "uinteger": 0,
        }
        raw = _OF_THIS_THREAD.generator.random_raw(steps * _STEP // 8)
        numbers: NDArray[Any] = raw.astype(LONG_WORDS, copy=False).view(kind)
        return numbers


_NO_BUFFER: Final = np.zeros(4, np.uint64)


class _Generator(local):
    """A generator of each thread's own, and the counter to set it to."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(key=0)
        self.counter = np.zeros(4, np.uint64)


_OF_THIS_THREAD: Final = _Generator()
