"""Checks what a graph contains, from the bytes of its file and without its weights, before any engine.

ONNX files are protocol buffers. If a file repeats a field that should appear once, parsers use the last
value; the check here covers every value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

from caveat.models.errors import one_line
from caveat.models.graphs import traps
from caveat.models.graphs.graph import TEXT, Attribute, Graph, Name, Node, Tensor, Type
from caveat.models.graphs.protobuf import Value, fields, integers, part, signed, text
from caveat.models.graphs.scope import NEWEST_OPSET
from caveat.models.graphs.weight import Weight, locate

# Numbers of fields in onnx.proto, by the message that has them.
_GRAPH, _OPSET, _TRAINING, _FUNCTION = 7, 8, 20, 25  # of a model
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 1, 5, 11, 12, 15  # of a graph
_VALUE_NAME, _VALUE_TYPE = 1, 2  # of an input or output
_TENSOR_TYPE, _ELEMENT_TYPE = 1, 1  # of a type, and of a tensor's type
_NODE_INPUT, _NODE_OUTPUT, _OPERATOR, _ATTRIBUTE, _DOMAIN = 1, 2, 4, 5, 7  # of a node
_ATTRIBUTE_NAME, _INTEGER, _BYTES, _TENSOR, _INNER_GRAPH, _INTEGERS = 1, 3, 4, 5, 6, 8  # of an attribute
_TENSORS, _GRAPHS, _SPARSE_TENSORS = 10, 11, (22, 23)
_SIZE, _TYPE, _NAME, _CONTENT, _EXTERNAL, _DATA_LOCATION = 1, 2, 8, 9, 13, 14  # of a tensor
_LISTS: Final = (4, 5, 6, 7, 10, 11)  # values of a tensor that are not written as bytes
_KEY, _VALUE = 1, 2  # of an entry of a tensor's external data

_DOMAINS: Final = ("", "ai.onnx")

_RANDOM: Final = {
    *("Bernoulli", "Dropout", "Multinomial"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}

# Text takes memory outside the engine's allocator, where no limit applies.
_ON_TEXT: Final = {"RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"}

_DEEPEST: Final = 8
_Part = TypeVar("_Part")

_MOST: Final = 2**22
"""Most fields that a file may have; a large network has a tenth of these."""


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
        on its own, may never end, has parts that no network needs, or operators that can end the process.
    """
    reader = _Reader(files)
    traps.refuse(reader.model(memoryview(content)))
    return reader.weights


class _Reader:
    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = files
        self._fields_read = 0
        self.weights: list[Weight] = []

    def model(self, message: memoryview) -> Graph:
        graph: Graph | None = None
        for number, value in self._fields(message):
            if number == _GRAPH:
                if graph is not None:
                    raise ValueError("is followed by another")
                graph = self._graph(part(value), depth=0)
            elif number == _OPSET:
                self._opset(part(value))
            elif number in (_TRAINING, _FUNCTION):
                raise ValueError("has a training part" if number == _TRAINING else "has functions of its own")
        if graph is None:
            raise ValueError("holds no graph")
        return graph

    def _opset(self, message: memoryview) -> None:
        for number, value in self._fields(message):
            if number == _OPSET_DOMAIN:
                _check_domain(text(value))
            elif number == _OPSET_VERSION and isinstance(value, int) and value > NEWEST_OPSET:
                raise ValueError(f"is written for opset {value}; opsets up to {NEWEST_OPSET} are known here")

    def _graph(self, message: memoryview, depth: int) -> Graph:
        if depth > _DEEPEST:
            raise ValueError(f"nests graphs deeper than {_DEEPEST}")
        graph = Graph()
        for number, value in self._fields(message):
            if number == _NODE:
                graph.nodes.append(self._node(part(value), depth))
            elif number == _INITIALIZER:
                name, tensor = self._tensor(part(value), where="" if depth == 0 else "in a branch")
                _add(graph.tensors, name, tensor)
            elif number == _INPUT:
                _add(graph.inputs, *self._value(part(value)))
            elif number == _OUTPUT:
                graph.outputs.append(self._value(part(value))[0])
            elif number == _SPARSE_INITIALIZER:
                raise ValueError("has sparse weights")
        return graph

    def _value(self, message: memoryview) -> tuple[Name, Type]:
        """Read the name and the type of an input or output."""
        name, kind = b"", 0
        for number, value in self._fields(message):
            if number == _VALUE_NAME:
                name = bytes(part(value))
            elif number == _VALUE_TYPE:
                for form, inner in self._fields(part(value)):
                    kind = self._element_type(part(inner)) if form == _TENSOR_TYPE else 0
        return name, kind

    def _element_type(self, message: memoryview) -> Type:
        kind = 0
        for number, value in self._fields(message):
            if number == _ELEMENT_TYPE and isinstance(value, int):
                kind = value & 0xFFFFFFFF
        return kind

    def _node(self, message: memoryview, depth: int) -> Node:
        operator = ""
        inputs: list[Name] = []
        outputs: list[Name] = []
        attributes: dict[bytes, Attribute] = {}
        for number, value in self._fields(message):
            if number == _NODE_INPUT:
                inputs.append(bytes(part(value)))
            elif number == _NODE_OUTPUT:
                outputs.append(bytes(part(value)))
            elif number == _OPERATOR:
                if operator:
                    raise ValueError("names two operators in one node")
                operator = text(value)
                _check_operator(operator)
            elif number == _DOMAIN:
                _check_domain(text(value))
            elif number == _ATTRIBUTE:
                _add(attributes, *self._attribute(part(value), depth))
        if operator == "Cast" and attributes.get(b"to") == TEXT:
            raise ValueError("works on text, with Cast; a bundle's graphs work on numbers")
        return Node(operator, inputs, outputs, attributes)

    def _attribute(self, message: memoryview, depth: int) -> tuple[bytes, Attribute]:
        name = b""
        found: list[Attribute] = []
        several: list[int] = []
        for number, value in self._fields(message):
            if number == _ATTRIBUTE_NAME:
                name = bytes(part(value))
            elif number == _INTEGER and isinstance(value, int):
                found.append(signed(value))
            elif number == _BYTES:
                found.append(bytes(part(value)))
            elif number == _TENSOR:
                found.append(self._tensor(part(value), where="in a constant")[1])
            elif number == _INNER_GRAPH:
                found.append(self._graph(part(value), depth + 1))
            elif number == _INTEGERS:
                several += self._counted(integers(value))
            elif number == _TENSORS:
                self._tensor(part(value), where="in a constant")
            elif number == _GRAPHS:
                raise ValueError("has lists of graphs")
            elif number in _SPARSE_TENSORS:
                raise ValueError("has sparse constants")
        if len(found) + bool(several) > 1:
            raise ValueError(f"gives two values to the attribute {one_line(name.decode(errors='replace'))}")
        return name, found[0] if found else tuple(several) or None

    def _tensor(self, message: memoryview, where: str) -> tuple[Name, Tensor]:
        place: dict[str, str] = {}
        shape: list[int] = []
        name, kind, apart, listed = b"", 0, False, False
        content: memoryview | None = None
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
                if kind == TEXT:
                    raise ValueError("has constants of text")
            elif number == _SIZE and isinstance(value, int):
                shape.append(value)
            elif number == _NAME:
                name = bytes(part(value))
            elif number == _CONTENT:
                content = part(value)
            listed |= number in _LISTS
        if apart and where:  # an engine reads these from a file on the disk, not from the bytes it was given
            raise ValueError(f"takes weights from a file {where}")
        if apart:
            self.weights.append(locate(name.decode(errors="replace"), kind, shape, place, self._files))
        return name, Tensor(kind, None if apart or listed else content)

    def _entry(self, message: memoryview) -> tuple[str, str]:
        found = {number: text(value) for number, value in self._fields(message)}
        return found.get(_KEY, ""), found.get(_VALUE, "")

    def _fields(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        return self._counted(fields(message))

    def _counted(self, parts: Iterator[_Part]) -> Iterator[_Part]:
        for each in parts:
            self._fields_read += 1
            if self._fields_read > _MOST:
                raise ValueError(f"has more than {_MOST:,} fields")
            yield each


def _add(named: dict[bytes, _Part], name: bytes, value: _Part) -> None:
    """Add what has a name, once; parsers differ on which of two with one name they take."""
    if name in named:
        raise ValueError(f"gives {one_line(name.decode(errors='replace'))!r} twice")
    named[name] = value


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
