"""A checked ONNX file, taken apart so that a changed graph can be written."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.graphs.protobuf import Value, field, fields, part, text

# Numbers of fields in onnx.proto, by the message that has them.
_GRAPH: Final = 7  # of a model
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13  # of a graph
_NODE_INPUT, _NODE_OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_ATTRIBUTE_NAME, _FLOAT, _INT, _ATTRIBUTE_TYPE = 1, 2, 3, 20  # of an attribute
_SIZE, _TYPE, _TENSOR_NAME, _BYTES, _EXTERNAL, _DATA_LOCATION = 1, 2, 8, 9, 13, 14  # of a tensor
_VALUE_NAME: Final = 1  # of an input or output

_FLOAT_TYPE, _INT_TYPE = 1, 2
_TYPES: Final[Mapping[int, np.dtype[Any]]] = {1: np.dtype("<f4"), 7: np.dtype("<i8")}


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Parameters
    ----------
    operator
        Name of the operator.
    inputs, outputs
        Names of the values that the node takes and gives.
    attributes
        Values of the attributes that are a single number, by name; None for all others.
    content
        The node's bytes in the file.
    """

    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, float | None]
    content: bytes


class OnnxFile:
    """The graph of a file, as nodes, inputs, outputs and constants.

    Parameters
    ----------
    content
        An ONNX file that an engine has loaded.

    Raises
    ------
    ValueError
        If the file is encoded in a way that no exporter uses.
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
        self._producers = {name: node for node in self.nodes for name in node.outputs}

    def _read(self, graph: memoryview) -> None:
        for number, value in fields(graph):
            if number == _NODE:
                self.nodes.append(_read_node(part(value)))
            elif number == _INITIALIZER:
                self._constants[_name(value, _TENSOR_NAME)] = part(value)
            elif number == _INPUT:
                self._inputs[_name(value, _VALUE_NAME)] = part(value)
            elif number != _VALUE_INFO:  # types of values between nodes, which engines find for themselves
                self._rest.append((number, value))
            if number == _OUTPUT:
                self.outputs.append(_name(value, _VALUE_NAME))

    def producer(self, name: str) -> Node | None:
        """Find the node that computes a value; None for an input or a constant."""
        return self._producers.get(name)

    def consumers(self, name: str) -> list[Node]:
        """Find the nodes that take a value."""
        return [node for node in self.nodes if name and name in node.inputs]

    def sources(self, name: str) -> set[str]:
        """Collect the names of a value and of all values that it is computed from."""
        found: set[str] = set()
        ahead = [name]
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += self._producers[name].inputs if name in self._producers else []
        return found

    def constant(self, name: str) -> NDArray[Any] | None:
        """Read a constant of float32 or int64 stored in the file as plain bytes; None for any other."""
        sizes: list[int] = []
        found: dict[int, Value] = {}
        for number, value in fields(self._constants.get(name, memoryview(b""))):
            if number == _SIZE and isinstance(value, int):
                sizes.append(value)
            found[number] = value
        kind, content = found.get(_TYPE), found.get(_BYTES)
        if not isinstance(kind, int) or kind not in _TYPES or not isinstance(content, memoryview):
            return None
        if found.keys() & {_EXTERNAL, _DATA_LOCATION}:
            return None
        values = np.frombuffer(content.tobytes(), _TYPES[kind])
        return values.reshape(sizes) if values.size == np.prod(sizes, dtype=int) else None

    def rewritten(self, nodes: Sequence[Node], constants: Mapping[str, NDArray[Any]], without: str) -> bytes:
        """Write the file with other nodes, with additional constants, and without one input."""
        used = {name for node in nodes for name in node.inputs}
        graph = [
            *(field(_NODE, node.content) for node in nodes),
            *(field(_INITIALIZER, value) for name, value in self._constants.items() if name in used),
            *(field(_INITIALIZER, _tensor(name, value)) for name, value in constants.items()),
            *(field(_INPUT, value) for name, value in self._inputs.items() if name != without),
            *(field(number, value) for number, value in self._rest),
        ]
        around = (field(number, value) for number, value in self._around)
        return b"".join([*around, field(_GRAPH, b"".join(graph))])


def node(operator: str, inputs: Sequence[str], output: str) -> Node:
    """Make a node with one output and no attributes."""
    content = [
        *(field(_NODE_INPUT, name.encode()) for name in inputs),
        field(_NODE_OUTPUT, output.encode()),
        field(_OPERATOR, operator.encode()),
    ]
    return Node(operator, inputs, [output], {}, b"".join(content))


def _read_node(content: memoryview) -> Node:
    inputs, outputs, attributes, operator = [], [], {}, ""
    for number, value in fields(content):
        if number == _NODE_INPUT:
            inputs.append(text(value))
        elif number == _NODE_OUTPUT:
            outputs.append(text(value))
        elif number == _OPERATOR:
            operator = text(value)
        elif number == _ATTRIBUTE:
            attributes[_name(value, _ATTRIBUTE_NAME)] = _attribute(part(value))
    return Node(operator, inputs, outputs, attributes, bytes(content))


def _attribute(content: memoryview) -> float | None:
    found = dict(fields(content))
    integer, real = found.get(_INT, 0), found.get(_FLOAT)
    if found.get(_ATTRIBUTE_TYPE) == _INT_TYPE and isinstance(integer, int):
        return integer - 2**64 if integer >= 2**63 else integer
    if found.get(_ATTRIBUTE_TYPE) == _FLOAT_TYPE and isinstance(real, memoryview):
        return float(struct.unpack("<f", real)[0])
    return None


def _tensor(name: str, value: NDArray[Any]) -> bytes:
    kind = next(number for number, dtype in _TYPES.items() if dtype == value.dtype)
    sizes = [field(_SIZE, size) for size in value.shape]
    named = field(_TENSOR_NAME, name.encode())
    return b"".join([*sizes, field(_TYPE, kind), named, field(_BYTES, value.tobytes())])


def _name(value: Value, number: int) -> str:
    return text(dict(fields(part(value))).get(number, memoryview(b"")))
