"""JSON in which rows of numbers become arrays, without an object of Python for every number."""

from collections.abc import Sequence
from itertools import accumulate, chain
from operator import mul
from typing import Any

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from models.signature import Dimension, Input

ROWS = "inputs"
"""The field that holds the rows."""

_TYPES = {"float32": "d", "float64": "d", "int64": "i"}


def loads(raw: bytes, inputs: Sequence[Input]) -> Any:
    """Parse JSON as ``orjson.loads`` does, with arrays in place of rows that are numbers in a model's shape.

    Raises
    ------
    orjson.JSONDecodeError
        If it is not JSON.
    """
    document = _with_arrays(raw, inputs) if all(spec.features is None for spec in inputs) else None
    return orjson.loads(raw) if document is None else document


def _with_arrays(raw: bytes, inputs: Sequence[Input]) -> dict[str, Any] | None:
    """Give the document with arrays; nothing if it is not as expected, which is for others to explain."""
    try:
        parsed: Any = simdjson.Parser().parse(raw)
        keys = list(parsed.keys())
        others = {key: _plain(parsed[key]) for key in keys if key != ROWS}
        rows = parsed[ROWS]
        arrays = (
            {inputs[0].name: _array(rows, inputs[0])}
            if len(inputs) == 1
            else {spec.name: _array(rows[spec.name], spec) for spec in inputs}
        )
        names = len(rows) if len(inputs) > 1 else 1
        # What lies flat in memory does not tell whether a list stood where a number should.
        lists = sum(_lists(array.shape) for array in arrays.values()) + orjson.dumps(others).count(b"[")
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return None
    if len(others) + 1 != len(keys) or names != len(inputs) or lists != raw.count(b"["):
        return None
    return {**others, ROWS: arrays if len(inputs) > 1 else arrays[inputs[0].name]}


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value


def _array(rows: Any, spec: Input) -> NDArray[Any]:
    shape = _shape(rows, spec.shape)
    kind = _TYPES[spec.dtype]
    return np.frombuffer(rows.as_buffer(of_type=kind), "i8" if kind == "i" else "f8").reshape(shape)


def _shape(rows: Any, sizes: Sequence[Dimension]) -> list[int]:
    """Tell the shape of nested lists; ValueError if they have several, or not one of these sizes."""
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
    """Count the lists that nest in a shape, with the outermost.

    >>> _lists((5,)), _lists((2, 3, 4))
    (1, 9)
    """
    return sum(accumulate(shape[:-1], mul, initial=1))
