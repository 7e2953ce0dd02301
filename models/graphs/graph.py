"""What is read of an ONNX file: its graph, without the values of the weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FLOAT: Final = 1
INT32: Final = 6
INT64: Final = 7
TEXT: Final = 8

Type = int
"""Type of a value's elements, by its number in onnx.proto; 0 if it is unknown."""

Name = bytes

_INTEGERS: Final[Mapping[Type, np.dtype[Any]]] = {INT32: np.dtype("<i4"), INT64: np.dtype("<i8")}


@dataclass(eq=False)
class Tensor:
    """A tensor that lies in a graph.

    Parameters
    ----------
    type
        Type of its values.
    content
        Its values as bytes; None if they are written in another way, or lie in another file.
    """

    type: Type
    content: memoryview | None

    @cached_property
    def integers(self) -> NDArray[np.integer] | None:
        """Its values, if they are signed integers of 32 or 64 bits that are written as bytes."""
        kind = _INTEGERS.get(self.type)
        if kind is None or self.content is None or len(self.content) % kind.itemsize:
            return None
        found: NDArray[np.integer] = np.frombuffer(self.content, kind)
        return found


@dataclass(eq=False)
class Node:
    """An operator at work in a graph.

    Parameters
    ----------
    operator
        Name of the operator.
    inputs, outputs
        Names of values; empty for an input or output that is left out.
    attributes
        Its attributes, by name.
    """

    operator: str
    inputs: Sequence[Name]
    outputs: Sequence[Name]
    attributes: Mapping[bytes, "Attribute"]

    def input(self, index: int) -> Name:
        """Give the name of an input; empty if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else b""

    @property
    def graphs(self) -> "Iterator[Graph]":
        """The graphs within the node, such as the branches of an If."""
        return (value for value in self.attributes.values() if isinstance(value, Graph))


@dataclass(eq=False)
class Graph:
    """A graph, or one within a node of another.

    Parameters
    ----------
    inputs
        Types of the inputs, by name.
    tensors
        The initializers, by name.
    nodes
        The nodes, in the order of the file.
    outputs
        Names of the outputs.
    """

    inputs: dict[Name, Type] = field(default_factory=dict)
    tensors: dict[Name, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    outputs: list[Name] = field(default_factory=list)


Attribute = int | bytes | Tensor | Graph | tuple[int, ...] | None
"""An attribute's value: an integer, a text, a tensor, a graph, or several integers; None for any other."""
