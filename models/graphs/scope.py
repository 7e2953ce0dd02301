"""What is known of the values in a graph: the types of their elements, their constants, who makes them."""

from collections.abc import Sequence
from typing import Final

from caveat.models.errors import one_line
from caveat.models.graphs.graph import FLOAT, Graph, Name, Node, Tensor, Type

NEWEST_OPSET: Final = 28
"""The opset up to which the tables below hold for all operators."""

OF_ANOTHER_INPUT: Final = {"CastLike": 1, "OneHot": 2, "RMSNormalization": 1, "Where": 1}
"""Operators whose output has the type of an input that is not the first, by the number of that input."""

OF_NO_INPUT: Final = {
    *("And", "ArgMax", "ArgMin", "Bernoulli", "BitCast", "BlackmanWindow", "ConvInteger", "DequantizeLinear"),
    *(
        "DynamicQuantizeLinear",
        "Equal",
        "EyeLike",
        "Greater",
        "GreaterOrEqual",
        "HammingWindow",
        "HannWindow",
    ),
    *("ImageDecoder", "IsInf", "IsNaN", "Less", "LessOrEqual", "Loop", "MatMulInteger", "MelWeightMatrix"),
    *("Multinomial", "NonMaxSuppression", "NonZero", "Optional", "OptionalGetElement", "OptionalHasElement"),
    *("Or", "QLinearConv", "QLinearMatMul", "QuantizeLinear", "RandomNormal", "RandomNormalLike"),
    *("RandomUniform", "RandomUniformLike", "RegexFullMatch", "SequenceEmpty", "SequenceLength"),
    *("SequenceMap", "Shape", "Size", "StringSplit", "TfIdfVectorizer", "Xor"),
}
"""Operators whose output may have a type that no input has."""

OF_ONE_TYPE: Final = {"GRU", "LSTM", "RNN", "Split"}
"""Operators of several outputs of one type; of others, the type of the first output alone is known."""


class Scope:
    """The values that the nodes of a graph can use.

    Parameters
    ----------
    graph
        A graph.
    outer
        The scope around it, if the graph is one within a node.

    Raises
    ------
    ValueError
        If a name stands for two values.
    """

    def __init__(self, graph: Graph, outer: "Scope | None" = None) -> None:
        self._outer = outer
        self._types: dict[Name, Type] = dict(graph.inputs)
        self._constants: dict[Name, Tensor] = dict(graph.tensors)
        self._makers: dict[Name, Node] = {}
        for name in graph.inputs.keys() & graph.tensors.keys():
            raise _twice(name)
        for name, tensor in graph.tensors.items():
            self._types[name] = tensor.type
        for node in graph.nodes:
            for name in filter(None, node.outputs):
                if name in self._makers or name in self._types:
                    raise _twice(name)
                self._makers[name] = node
                if node.operator == "Constant" and isinstance(value := node.attributes.get(b"value"), Tensor):
                    self._constants[name] = value
        for name in self._types.keys() | self._makers.keys():
            if outer is not None and outer.knows(name):
                raise _twice(name)

    def knows(self, name: Name) -> bool:
        """Tell whether a name stands for a value here or in a scope around."""
        here = name in self._types or name in self._makers
        return here or (self._outer is not None and self._outer.knows(name))

    def type(self, name: Name) -> Type:
        """Give the type of a value; 0 if it is unknown, or comes from a node that was not added yet."""
        found = self._types.get(name, 0)
        return found if found or self._outer is None else self._outer.type(name)

    def constant(self, name: Name) -> Tensor | None:
        """Give the tensor that a value always is, if it lies in the graph."""
        found = self._constants.get(name)
        return found if found or self._outer is None else self._outer.constant(name)

    def maker(self, name: Name) -> Node | None:
        """Give the node that a value comes from."""
        found = self._makers.get(name)
        return found if found or self._outer is None else self._outer.maker(name)

    def add(self, node: Node, inner: Sequence[Sequence[Type]]) -> None:
        """Note the types of a node's outputs.

        Parameters
        ----------
        node
            A node of the graph.
        inner
            For each graph within the node, the types of its outputs.
        """
        for index, name in enumerate(node.outputs):
            self._types[name] = self._output(node, index, inner)

    def _output(self, node: Node, index: int, inner: Sequence[Sequence[Type]]) -> Type:
        if node.operator in ("If", "Scan"):
            found = {types[index] if index < len(types) else 0 for types in inner}
            return found.pop() if len(found) == 1 else 0
        if index and node.operator not in OF_ONE_TYPE:
            return 0
        if node.operator == "Cast":
            to = node.attributes.get(b"to")
            return to if isinstance(to, int) else 0
        if node.operator in ("Constant", "ConstantOfShape"):
            value = node.attributes.get(b"value")
            filled = FLOAT if node.operator == "ConstantOfShape" and b"value" not in node.attributes else 0
            return value.type if isinstance(value, Tensor) else filled
        if node.operator in OF_NO_INPUT:
            return 0
        return self.type(node.input(OF_ANOTHER_INPUT.get(node.operator, 0)))


def _twice(name: Name) -> ValueError:
    return ValueError(f"gives the name {one_line(name.decode(errors='replace'))!r} to two values")
