"""What a graph may hold: read off its file before any engine reads it, and without its weights.

ONNX files are protocol buffers. Where a field that stands once stands twice, their readers take the last;
here each is held to what is allowed.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from caveat.models.errors import one_line
from caveat.models.graphs.protobuf import Value, fields, part, text

# Numbers of fields in onnx.proto, by the message that they stand in.
_GRAPH, _OPSET, _TRAINING, _FUNCTION = 7, 8, 20, 25  # of a model
_OPSET_DOMAIN: Final = 1
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15  # of a graph
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of a node
_TENSORS, _GRAPHS, _SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)  # of an attribute
_TYPE, _EXTERNAL, _DATA_LOCATION = 2, 13, 14  # of a tensor
_KEY, _VALUE = 1, 2  # of an entry of the place of a tensor

_TEXT: Final = 8  # as the type of a tensor's values

_DOMAINS: Final = ("", "ai.onnx")

_RANDOM: Final = {
    *("Bernoulli", "Dropout", "Multinomial"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}

# Text takes memory that no allocator of an engine counts.
_OF_TEXT: Final = {"RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"}

_DEEPEST: Final = 8
_MOST: Final = 2**22
"""Fields that are looked at; a large network has a tenth of it."""


def check(content: bytes, files: Mapping[str, int]) -> None:
    """Refuse a graph that is not for a bundle.

    Parameters
    ----------
    content
        An ONNX file.
    files
        The files in which its weights may lie, and how many bytes each has.

    Raises
    ------
    ValueError
        If it is no ONNX file, takes weights from anywhere else, draws at random on its own, may never end,
        or has parts that no network needs.
    """
    _Reader(files).model(memoryview(content))


class _Reader:
    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = files
        self._looked_at = 0

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
        apart = False
        for number, value in self._fields(message):
            if number == _EXTERNAL:
                apart = True
                key, said = self._entry(part(value))
                if place.setdefault(key, said) != said:
                    raise ValueError(f"gives two values to {key} of a tensor")
            elif number == _DATA_LOCATION:
                apart |= value != 0
            elif number == _TYPE and isinstance(value, int) and value & 0xFFFFFFFF == _TEXT:
                raise ValueError("has constants of text")
        if apart and where:  # there, engines look for files on the disk, whatever they have been given
            raise ValueError(f"takes weights from elsewhere {where}")
        if apart:
            self._check_place(place)

    def _entry(self, message: memoryview) -> tuple[str, str]:
        found = {number: text(value) for number, value in self._fields(message)}
        return found.get(_KEY, ""), found.get(_VALUE, "")

    def _check_place(self, place: Mapping[str, str]) -> None:
        file = place.get("location", "")
        if file not in self._files:
            raise ValueError(f"takes weights from {one_line(file)!r}, which is no file of the bundle")
        offset, length = place.get("offset", "0"), place.get("length", "")
        sound = all(number.isascii() and number.isdigit() for number in (offset, length))
        if not sound or int(offset) + int(length) > self._files[file]:
            raise ValueError(
                f"takes {one_line(length) or 'no number of'} bytes from {one_line(offset)} on of {file}, "
                f"which has {self._files[file]}"
            )

    def _fields(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        for field in fields(message):
            self._looked_at += 1
            if self._looked_at > _MOST:
                raise ValueError(f"has more than {_MOST:,} parts")
            yield field


def _check_operator(name: str) -> None:
    if name in _RANDOM:
        raise ValueError(f"draws at random on its own, with {name}; a bundle's draws are inputs")
    if name == "Loop":
        raise ValueError("has a Loop, which may never end")
    if name in _OF_TEXT:
        raise ValueError(f"works on text, with {name}")


def _check_domain(domain: str) -> None:
    if domain not in _DOMAINS:
        raise ValueError(f"uses operators of {one_line(domain)!r}; a bundle's graphs use those of ONNX alone")
