"""Parsing JSON rows straight into arrays, without a Python object for every number."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain
from operator import mul
from typing import Any, Final

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from caveat.models.bundles.signature import Dimension, Input

ROWS: Final = "inputs"
"""The field that holds the rows."""

PIECE: Final = 2**14
"""Bytes to parse at a time: parsing holds the interpreter, so nothing else in the process runs."""

_TYPES: Final = {"float32": ("d", "f8"), "float64": ("d", "f8"), "int64": ("i", "i8")}
"""Names of the input types in simdjson and in NumPy."""


def cut_out(raw: bytes | bytearray, inputs: Sequence[Input]) -> tuple[Any, bytes] | None:
    """Cut the rows out of a request, if they are plain numbers in the shape that the model takes.

    Returns
    -------
    rows, rest
        The rows as ``orjson.loads`` would give them, with arrays for lists; and the document with an empty
        list for the rows, not parsed yet, so that it may be invalid JSON. None if there are no such rows.
    """
    if any(spec.features is not None for spec in inputs):
        return None
    try:
        return _cut(raw, inputs)
    except (ValueError, TypeError, KeyError, RuntimeError):
        return None


def without_rows(inputs: Sequence[Input]) -> Any:
    """Give the ``inputs`` that `cut_out` leaves in the document when it cuts out exactly the rows."""
    return [] if len(inputs) == 1 else {spec.name: [] for spec in inputs}


def _cut(raw: bytes | bytearray, inputs: Sequence[Input]) -> tuple[Any, bytes]:
    one = len(inputs) == 1
    arrays = {}
    rest = raw
    for spec in inputs:
        name = ROWS if one else spec.name
        begin = _beginning(name).search(rest)
        if not begin:
            raise ValueError
        pieces = list(_pieces(rest, begin.end(), len(spec.shape)))
        arrays[spec.name] = _joined(
            [numbers(bytes(rest[start:stop]), spec.shape, spec.dtype) for start, stop in pieces], spec.dtype
        )
        rest = b"".join([rest[: begin.end()], rest[pieces[-1][1] :]])
        if _beginning(name).search(rest, begin.end()):  # an option or a key may have the name of an input
            raise ValueError
    return next(iter(arrays.values())) if one else arrays, bytes(rest)


def _pieces(raw: bytes | bytearray, start: int, axes: int) -> Iterator[tuple[int, int]]:
    """Cut the list of rows at ``start`` into pieces of whole rows, without the commas between them."""
    row_end, end = ends(axes)
    while True:
        long = len(raw) - start > PIECE
        found = (row_end if long else end).search(raw, start + PIECE if long else start)
        if not found:
            raise ValueError
        yield start, found.end() - 1
        if found[0].endswith(b"]"):
            return
        start = found.end()


@lru_cache(256)
def _beginning(name: str) -> re.Pattern[bytes]:
    """Make the pattern for the beginning of a field's list."""
    return re.compile(re.escape(orjson.dumps(name)) + rb"\s*:\s*\[")


@lru_cache(16)
def ends(axes: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Make the patterns for the end of a row, with the mark behind it, and for the end of the list."""
    return re.compile(rb"\]\s*" * (axes - 1) + rb"[,\]]"), re.compile(rb"\]\s*" * (axes - 1) + rb"\]")


def numbers(items: bytes, sizes: Sequence[Dimension], dtype: str) -> NDArray[Any]:
    """Parse the items of a list; ValueError or TypeError unless they are plain numbers in a shape."""
    parsed: Any = simdjson.Parser().parse(b"[%b]" % items)
    shape = _shape(parsed, sizes)
    kind, held = _TYPES[dtype]
    # The flat buffer does not show whether a list stood in the place of a number; counting brackets does.
    if items.count(b"[") + 1 != _lists(shape):
        raise ValueError
    return np.frombuffer(parsed.as_buffer(of_type=kind), held).reshape(shape)


def _joined(arrays: list[NDArray[Any]], dtype: str) -> NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0]
    with np.errstate(over="ignore"):
        joined: NDArray[Any] = np.concatenate(arrays, dtype=dtype, casting="same_kind")
    if not np.isfinite(joined).all():
        raise ValueError
    return joined


def _shape(rows: Any, sizes: Sequence[Dimension]) -> list[int]:
    """Find the shape of nested lists; ValueError if they are ragged, or differ from ``sizes``."""
    lists: list[Any] = [rows]
    shape: list[int] = []
    for size in sizes:
        if shape:
            lists = list(chain.from_iterable(lists))
        (length,) = {len(each) for each in lists}
        if not length or (isinstance(size, int) and length != size):
            raise ValueError
        shape.append(length)
    return shape


def _lists(shape: Sequence[int]) -> int:
    """Count the nested lists of a shape, including the outermost.

    >>> _lists((5,)), _lists((2, 3, 4))
    (1, 9)
    """
    return sum(accumulate(shape[:-1], mul, initial=1))
