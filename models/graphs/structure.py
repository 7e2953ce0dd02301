"""Checks what a graph contains, from the bytes of its file and without its weights, before any engine.

ONNX files are protocol buffers. If a file repeats a field that should appear once, parsers use the last
value; the check here covers every value.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from caveat.models.errors import one_line
from caveat.models.graphs.protobuf import Value, fields, part, text

# Numbers of fields in onnx.proto, by the message that has them.
_GRAPH, _OPSET, _TRAINING, _FUNCTION = 7, 8, 20, 25  # of a model
_OPSET_DOMAIN: Final = 1
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15  # of a graph
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of a node
_TENSORS, _GRAPHS, _SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)  # of an attribute
_SIZE, _TYPE, _NAME, _EXTERNAL, _DATA_LOCATION = 1, 2, 8, 13, 14  # of a tensor
_KEY, _VALUE = 1, 2  # of an entry of a tensor's external data

_TEXT: Final = 8  # the type of a tensor whose values are text

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

_DOMAINS: Final = ("", "ai.onnx")

_RANDOM: Final = {
    *("Bernoulli", "Dropout", "Multinomial"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}

# Text takes memory outside the engine's allocator, where no limit applies.
_ON_TEXT: Final = {"RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"}

_DEEPEST: Final = 8
_MOST: Final = 2**22
"""Most fields that a file may have; a large network has a tenth of these."""


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


def check(content: bytes, files: Mapping[str, int]) -> Sequence[Weight]:
    """Refuse a graph that does not belong in a bundle.

    Parameters
    ----------
    content
        An ONNX file.
    files
        Sizes in bytes, by name, of the files that may hold the graph's weights.

    Returns
    -------
    Sequence of Weight
        The tensors that lie in these files.

    Raises
    ------
    ValueError
        If the content is not an ONNX file, or the graph takes weights from another place, draws at random
        on its own, may never end, or has parts that no network needs.
    """
    reader = _Reader(files)
    reader.model(memoryview(content))
    return reader.weights


class _Reader:
    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = files
        self._fields_read = 0
        self.weights: list[Weight] = []

    def model(self, message: memoryview) -> None:
        has_graph = False
        for number, value in self._fields(message):
            if number == _GRAPH:
                has_graph = True
                self._graph(part(value), depth=0)
            elif number == _OPSET:
                for inner, domain in self._fields(part(value)):
                    if inner == _OPSET_DOMAIN:
                        _check_domain(text(domain))
            elif number in (_TRAINING, _FUNCTION):
                raise ValueError("has a training part" if number == _TRAINING else "has functions of its own")
        if not has_graph:
            raise ValueError("holds no graph")

    def _graph(self, message: memoryview, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError(f"nests graphs deeper than {_DEEPEST}")
        for number, value in self._fields(message):
            if number == _NODE:
                self._node(part(value), depth)
            elif number == _INITIALIZER:
                self._tensor(part(value), where="" if depth == 0 else "in a branch")
            elif number == _SPARSE_INITIALIZER:
                raise ValueError("has sparse weights")

    def _node(self, message: memoryview, depth: int) -> None:
        for number, value in self._fields(message):
            if number == _OPERATOR:
                _check_operator(text(value))
            elif number == _DOMAIN:
                _check_domain(text(value))
            elif number == _ATTRIBUTE:
                self._attribute(part(value), depth)

    def _attribute(self, message: memoryview, depth: int) -> None:
        for number, value in self._fields(message):
            if number in _TENSORS:
                self._tensor(part(value), where="in a constant")
            elif number in _GRAPHS:
                self._graph(part(value), depth + 1)
            elif number in _SPARSE_TENSORS:
                raise ValueError("has sparse constants")

    def _tensor(self, message: memoryview, where: str) -> None:
        place: dict[str, str] = {}
        shape: list[int] = []
        name, kind, apart = "", 0, False
        for number, value in self._fields(message):
            if number == _EXTERNAL:
                apart = True
                key, said = self._entry(part(value))
                if place.setdefault(key, said) != said:
                    raise ValueError(f"gives two values to {key} of a tensor")
            elif number == _DATA_LOCATION:
                apart |= value != 0
            elif number == _TYPE and isinstance(value, int):
                kind = value & 0xFFFFFFFF
                if kind == _TEXT:
                    raise ValueError("has constants of text")
            elif number == _SIZE and isinstance(value, int):
                shape.append(value)
            elif number == _NAME:
                name = text(value)
        if apart and where:  # an engine reads these from a file on the disk, not from the bytes it was given
            raise ValueError(f"takes weights from a file {where}")
        if apart:
            self._check_place(place)
            self.weights.append(_weight(name, kind, shape, place))

    def _entry(self, message: memoryview) -> tuple[str, str]:
        found = {number: text(value) for number, value in self._fields(message)}
        return found.get(_KEY, ""), found.get(_VALUE, "")

    def _check_place(self, place: Mapping[str, str]) -> None:
        file = place.get("location", "")
        if file not in self._files:
            raise ValueError(f"takes weights from {one_line(file)!r}, which is not a file of the bundle")
        offset, length = place.get("offset", "0"), place.get("length", "")
        sound = all(number.isascii() and number.isdigit() for number in (offset, length))
        if not sound or int(offset) + int(length) > self._files[file]:
            raise ValueError(
                f"takes {one_line(length) or 'no number of'} bytes at offset {one_line(offset)} of {file}, "
                f"which has {self._files[file]}"
            )

    def _fields(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        for field in fields(message):
            self._fields_read += 1
            if self._fields_read > _MOST:
                raise ValueError(f"has more than {_MOST:,} fields")
            yield field


def _weight(name: str, kind: int, shape: Sequence[int], place: Mapping[str, str]) -> Weight:
    dtype = _WEIGHT_TYPES.get(kind)
    if dtype is None or math.prod(shape) * dtype.itemsize != int(place["length"]):
        raise ValueError(
            f"takes {place['length']} bytes of {place['location']} for a tensor of shape {tuple(shape)} and "
            f"type {kind}"
        )
    return Weight(name, dtype, tuple(shape), place["location"], int(place.get("offset", "0")))


def _check_operator(name: str) -> None:
    if name in _RANDOM:
        raise ValueError(f"draws at random on its own, with {name}; a bundle's draws are inputs")
    if name == "Loop":
        raise ValueError("has a Loop, which may never end")
    if name in _ON_TEXT:
        raise ValueError(f"works on text, with {name}; a bundle's graphs work on numbers")


def _check_domain(domain: str) -> None:
    if domain not in _DOMAINS:
        raise ValueError(f"uses operators of {one_line(domain)!r}; a bundle's graphs use those of ONNX alone")
