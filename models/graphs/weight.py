"""The weights of a graph that lie in a file of their own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from caveat.models.errors import one_line
from caveat.models.graphs.graph import Type

_WEIGHT_TYPES: Final[Mapping[int, np.dtype[Any]]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    9: np.dtype("?"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
}
"""The types of tensors outside a graph, by their numbers in onnx.proto."""


@dataclass(frozen=True)
class Weight:
    """A tensor of a graph that lies in a file of weights.

    Parameters
    ----------
    name
        Its name in the graph.
    file, offset
        The file, and where in it the tensor begins, in bytes.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    file: str
    offset: int


def locate(
    name: str, kind: Type, shape: Sequence[int], place: Mapping[str, str], files: Mapping[str, int]
) -> Weight:
    """Find a tensor in the file that holds its values.

    Parameters
    ----------
    name, kind, shape
        What the graph says of the tensor.
    place
        Where the graph says that the values lie: ``location``, ``offset`` and ``length``.
    files
        Sizes in bytes, by name, of the files that may hold weights.

    Raises
    ------
    ValueError
        If the values are not in one of these files, or are not those of such a tensor.
    """
    file = place.get("location", "")
    if file not in files:
        raise ValueError(f"takes weights from {one_line(file)!r}, which is not a file of the bundle")
    offset, length = place.get("offset", "0"), place.get("length", "")
    sound = all(number.isascii() and number.isdigit() for number in (offset, length))
    if not sound or int(offset) + int(length) > files[file]:
        raise ValueError(
            f"takes {one_line(length) or 'no number of'} bytes at offset {one_line(offset)} of {file}, "
            f"which has {files[file]}"
        )
    dtype = _WEIGHT_TYPES.get(kind)
    if dtype is None or math.prod(shape) * dtype.itemsize != int(length):
        raise ValueError(
            f"takes {length} bytes of {file} for a tensor of shape {tuple(shape)} and type {kind}"
        )
    return Weight(name, dtype, tuple(shape), file, int(offset))
