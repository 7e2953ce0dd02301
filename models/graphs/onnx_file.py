"""An ONNX file that was found sound, taken apart so that its graph can be written anew."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.graphs.protobuf import Value, field, fields, part, text

# Numbers of fields in onnx.proto, by the message that they stand in.
_GRAPH: Final = 7  # of a model
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _BETWEEN = 1, 5, 11, 12, 13  # of a graph
_TAKES, _GIVES, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_ATTRIBUTE_NAME, _REAL, _INTEGER, _KIND = 1, 2, 3, 20  # of an attribute
_SIZE, _TYPE, _TENSOR_NAME, _BYTES, _EXTERNAL, _PLACE = 1, 2, 8, 9, 13, 14  # of a tensor
_VALUE_NAME: Final = 1  # of an input or output

_KIND_REAL, _KIND_INTEGER = 1, 2
_TYPES: Final[Mapping[int, np.dtype[Any]]] = {1: np.dtype("<f4"), 7: np.dtype("<i8")}


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Parameters
    ----------
    operator
        Its name.
    takes, gives
        Names of values.
    attributes
        The numbers of those that are one; nothing of others.
    content
        All of it, as it stands in a file.
    """

    operator: str
    takes: Sequence[str]
    gives: Sequence[str]
    attributes: Mapping[str, float | None]
    content: bytes


class OnnxFile:
    """The graph of a file, as nodes, inputs, outputs and constants.

    Parameters
    ----------
    content
        An ONNX file that an engine has taken.

    Raises
    ------
    ValueError
        If it is written in a way that no exporter writes.
    """

    def __init__(self, content: bytes) -> None:
        self._around: list[tuple[int, Value]] = []
        self._rest: list[tuple[int, Value]] = []
        self._inputs: dict[str, memoryview] = {}
        self._constants: dict[str, memoryview] = {}
        self.nodes: list[Node] = []
        self.outputs: list[str] = []
        for number, value in fields(memoryview(content)):
            if number == _GRAPH:
                self._read(part(value))
            else:
                self._around.append((number, value))
        self._makers = {name: node for node in self.nodes for name in node.gives}

    def _read(self, graph: memoryview) -> None:
        for number, value in fields(graph):
            if number == _NODE:
                self.nodes.append(_read_node(part(value)))
            elif number == _INITIALIZER:
                self._constants[_name(value, _TENSOR_NAME)] = part(value)
            elif number == _INPUT:
                self._inputs[_name(value, _VALUE_NAME)] = part(value)
            elif number != _BETWEEN:  # types of values between nodes, which engines find for themselves
                self._rest.append((number, value))
            if number == _OUTPUT:
                self.outputs.append(_name(value, _VALUE_NAME))

    def maker(self, name: str) -> Node | None:
        """Find the node that gives a value; none gives an input or a constant."""
        return self._makers.get(name)

    def takers(self, name: str) -> list[Node]:
        """Find the nodes that take a value."""
        return [node for node in self.nodes if name and name in node.takes]

    def needed(self, name: str) -> set[str]:
        """Collect a value and all that it comes from."""
        found: set[str] = set()
        ahead = [name]
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += self._makers[name].takes if name in self._makers else []
        return found

    def constant(self, name: str) -> NDArray[Any] | None:
        """Read a constant of float32 or int64 that stands in the file as plain bytes."""
        sizes: list[int] = []
        found: dict[int, Value] = {}
        for number, value in fields(self._constants.get(name, memoryview(b""))):
            if number == _SIZE and isinstance(value, int):
                sizes.append(value)
            found[number] = value
        kind, content = found.get(_TYPE), found.get(_BYTES)
        if not isinstance(kind, int) or kind not in _TYPES or not isinstance(content, memoryview):
            return None
        if found.keys() & {_EXTERNAL, _PLACE}:
            return None
        values = np.frombuffer(content.tobytes(), _TYPES[kind])
        return values.reshape(sizes) if values.size == np.prod(sizes, dtype=int) else None

    def written(self, nodes: Sequence[Node], constants: Mapping[str, NDArray[Any]], without: str) -> bytes:
        """Write the file with other nodes, with constants beside its own, and without an input."""
        taken = {name for node in nodes for name in node.takes}
        graph = [
            *(field(_NODE, node.content) for node in nodes),
            *(field(_INITIALIZER, value) for name, value in self._constants.items() if name in taken),
            *(field(_INITIALIZER, _tensor(name, value)) for name, value in constants.items()),
            *(field(_INPUT, value) for name, value in self._inputs.items() if name != without),
            *(field(number, value) for number, value in self._rest),
        ]
        around = (field(number, value) for number, value in self._around)
        return b"".join([*around, field(_GRAPH, b"".join(graph))])


def node(operator: str, takes: Sequence[str], gives: str) -> Node:
    """Make a node without attributes."""
    content = [
        *(field(_TAKES, name.encode()) for name in takes),
        field(_GIVES, gives.encode()),
        field(_OPERATOR, operator.encode()),
    ]
    return Node(operator, takes, [gives], {}, b"".join(content))


def _read_node(content: memoryview) -> Node:
    takes, gives, attributes, operator = [], [], {}, ""
    for number, value in fields(content):
        if number == _TAKES:
            takes.append(text(value))
        elif number == _GIVES:
            gives.append(text(value))
        elif number == _OPERATOR:
            operator = text(value)
        elif number == _ATTRIBUTE:
            attributes[_name(value, _ATTRIBUTE_NAME)] = _attribute(part(value))
    return Node(operator, takes, gives, attributes, bytes(content))


def _attribute(content: memoryview) -> float | None:
    found = dict(fields(content))
    integer, real = found.get(_INTEGER, 0), found.get(_REAL)
    if found.get(_KIND) == _KIND_INTEGER and isinstance(integer, int):
        return integer - 2**64 if integer >= 2**63 else integer
    if found.get(_KIND) == _KIND_REAL and isinstance(real, memoryview):
        return float(struct.unpack("<f", real)[0])
    return None


def _tensor(name: str, value: NDArray[Any]) -> bytes:
    kind = next(number for number, dtype in _TYPES.items() if dtype == value.dtype)
    sizes = [field(_SIZE, size) for size in value.shape]
    named = field(_TENSOR_NAME, name.encode())
    return b"".join([*sizes, field(_TYPE, kind), named, field(_BYTES, value.tobytes())])


def _name(value: Value, number: int) -> str:
    return text(dict(fields(part(value))).get(number, memoryview(b"")))
