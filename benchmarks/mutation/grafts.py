"""Parts of graphs that no exporter writes, grafted into a sound graph whose answers stay what they were.

A graft computes something that may trap, may never end, or may take all memory: a division of the least
integer by -1, scans within scans, constants of a million million values, an operator with attributes that
make no sense. What it computes is added to the graph's output as zero.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mutation.operators import OPERATORS

LEAST, MOST = -(2**63), 2**63 - 1

SIZES = (0, 1, 2, 3, 7, 100, 10**4, 10**6, 10**8, 10**10, 10**12, 2**31 - 1, 2**31, 2**32, MOST)
INTEGERS = (*(-size for size in SIZES), LEAST, *SIZES)


class Graft:
    """Nodes and constants that are being added to a graph.

    Parameters
    ----------
    model
        The graph, which is changed in place.
    random
        Decides every choice.
    """

    def __init__(self, model: onnx.ModelProto, random: Random) -> None:
        self.random = random
        self._graph = model.graph
        self._nodes: list[onnx.NodeProto] = []
        self._count = 0

    def name(self) -> str:
        """Give a new name."""
        self._count += 1
        return f"graft {self._count}"

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Add a constant, as a weight or as a node."""
        tensor = numpy_helper.from_array(np.asarray(value, dtype), self.name())
        if self.random.random() < 0.5:
            self._graph.initializer.append(tensor)
            return tensor.name
        return self.node("Constant", value=tensor)

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; give the name of its first output."""
        names = [self.name() for _ in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0]

    def pixel(self) -> str:
        """Give a number that depends on what the graph is fed, a scalar of float32."""
        fed = self.random.choice(self._graph.input).name
        number = self.node("Cast", fed, to=TensorProto.FLOAT)
        return self.node("ReduceMax", number, keepdims=0)

    def passes(self) -> str:
        """Give the length of the first axis of what the graph is fed, an array of one int64."""
        return self.node("Shape", self.random.choice(self._graph.input).name, start=0, end=1)

    def live(self, value: Any, dtype: Any = None) -> str:
        """Add an array, as a constant or so that it is known in a run alone."""
        array = np.asarray(value, dtype)
        made = self.constant(array)
        if self.random.random() < 0.5 or array.dtype.kind not in "fiu":
            return made
        zero = self.node("Mul", self.pixel(), self.constant(0, np.float32))
        to = helper.np_dtype_to_tensor_dtype(array.dtype)
        return self.node("Add", made, self.node("Cast", zero, to=to))

    def finish(self, made: str) -> None:
        """Add what was made to the graph's output, as zero."""
        output = self._graph.output[0].name
        for node in self._graph.node:
            node.output[:] = ["before graft" if name == output else name for name in node.output]
            node.input[:] = ["before graft" if name == output else name for name in node.input]
        total = self.node("ReduceSum", self.node("Cast", made, to=TensorProto.FLOAT), keepdims=0)
        zero = self.constant(0, np.float32)
        nothing = self.node("Min", self.node("Max", total, zero), zero)
        to = self._graph.output[0].type.tensor_type.elem_type or TensorProto.FLOAT
        nothing = self.node("Cast", nothing, to=to)
        self._nodes.append(helper.make_node("Add", ["before graft", nothing], [output]))
        self._graph.node.extend(self._nodes)


def graft(model: onnx.ModelProto, random: Random) -> str:
    """Graft something into a graph, in place; give the name of its kind."""
    (kind,) = random.choices(tuple(KINDS), tuple(KINDS.values()))
    growing = Graft(model, random)
    growing.finish(kind(growing))
    return kind.__name__.strip("_")


def _trap(graft: Graft) -> str:
    """Divide integers by 0 or by -1, or take what is left, in any integer type, also in a branch."""
    pick = graft.random.choice
    dtype = np.dtype(pick(("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")))
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    pairs = ((least, -1 if least else 0), (least, -1 if least else 0), (most, 0), (0, 0), (least, most))
    over, under = ([value] * 3 for value in pick(pairs))
    operator = pick(("Div", "Div", "Mod", "Mod", "Pow", "Sub", "Mul"))
    over_name, under_name = graft.live(over, dtype), graft.live(under, dtype)
    if graft.random.random() < 0.7:
        return graft.node(operator, over_name, under_name)
    inner = helper.make_node(operator, [over_name, under_name], ["result"])
    return _branch(graft, [inner], helper.np_dtype_to_tensor_dtype(dtype))


def _branch(graft: Graft, nodes: Sequence[onnx.NodeProto], dtype: int = TensorProto.FLOAT) -> str:
    value = helper.make_tensor_value_info("result", dtype, None)
    body = helper.make_graph(nodes, "branch", [], [value])
    yes = graft.node("Less", graft.pixel(), graft.constant(1e9, np.float32))
    return graft.node("If", yes, then_branch=body, else_branch=body)


def _scan(graft: Graft) -> str:
    """Scan within scan, as long as a constant, a pixel or the number of passes says."""
    depth = graft.random.choice((1, 1, 2, 3, 4))
    length = _length(graft)
    many = graft.node("Expand", graft.constant(1.0, np.float32), length)
    return graft.node(
        "Scan", graft.constant(0.0, np.float32), many, body=_body(depth, many), num_scan_inputs=1
    )


def _body(depth: int, many: str) -> onnx.GraphProto:
    scalar = [
        helper.make_tensor_value_info(f"{name} {depth}", TensorProto.FLOAT, [])
        for name in ("state", "step", "next")
    ]
    state, step, after = (value.name for value in scalar)
    if depth == 1:
        nodes = [helper.make_node("Add", [state, step], [after])]
    else:
        body = _body(depth - 1, many)
        nodes = [helper.make_node("Scan", [state, many], [after], body=body, num_scan_inputs=1)]
    return helper.make_graph(nodes, f"body {depth}", scalar[:2], scalar[2:])


def _length(graft: Graft) -> str:
    """Give a length, as an array of one int64."""
    way = graft.random.random()
    if way < 0.4:
        return graft.live([graft.random.choice((3, 1000, 3000, 10**6, 10**9))], np.int64)
    if way < 0.7:
        size = graft.constant(graft.random.choice((1.0, 100.0, 1e5)), np.float32)
        length = graft.node("Cast", graft.node("Mul", graft.pixel(), size), to=TensorProto.INT64)
        return graft.node("Reshape", graft.node("Abs", length), graft.constant([1], np.int64))
    factor = graft.constant([graft.random.choice((1, 100, 10**6))], np.int64)
    return graft.node("Mul", graft.passes(), factor)


def _giant(graft: Graft) -> str:
    """Make many values of few."""
    pick = graft.random.choice
    size = pick((10**5, 10**7, 10**8, 10**9, 10**10, 10**12, 2**62))
    way = pick(("Expand", "ConstantOfShape", "Tile", "Range", "OneHot", "Pad", "Resize", "product", "Concat"))
    if way == "Expand":
        return graft.node(way, graft.live(1.0, np.float32), graft.live([size], np.int64))
    if way == "ConstantOfShape":
        return graft.node(way, graft.live([size], np.int64))
    if way == "Tile":
        return graft.node(way, graft.live([1.0], np.float32), graft.live([size], np.int64))
    if way == "Range":
        return graft.node(way, *(graft.live(value, np.int64) for value in (0, size, 1)))
    if way == "OneHot":
        indices, depth = graft.live([0, 1], np.int64), graft.live(size, np.int64)
        return graft.node(way, indices, depth, graft.constant([0, 1], np.float32))
    if way == "Pad":
        return graft.node(way, graft.live([1.0], np.float32), graft.live([0, size], np.int64))
    if way == "Resize":
        sizes = graft.live([1, 1, size], np.int64)
        return graft.node(way, graft.live(np.ones((1, 1, 2)), np.float32), "", "", sizes)
    root = graft.node("Expand", graft.live(1.0, np.float32), graft.live([int(size**0.5)], np.int64))
    if way == "Concat":
        return graft.node(way, *[root] * 1000, axis=0)
    column = graft.node("Reshape", root, graft.constant([-1, 1], np.int64))
    return graft.node("Mul", column, root)


def _work(graft: Graft) -> str:
    """Compute for long with few values, also as constants are folded."""
    size = graft.random.choice((100, 300, 1000, 3000))
    one = graft.live(1e-3, np.float32)
    made = graft.node("Expand", one, graft.constant([size, size], np.int64))
    for _ in range(graft.random.choice((1, 3, 10, 300))):
        made = graft.node("MatMul", made, made)
    return made


def _many(graft: Graft) -> str:
    """Chain very many nodes, or nest branches."""
    if graft.random.random() < 0.5:
        made = graft.live([1.0], np.float32)
        for _ in range(graft.random.choice((100, 3000, 30_000))):
            made = graft.node("Neg", made)
        return made
    nodes = [helper.make_node("Identity", [graft.pixel()], ["result"])]
    for _ in range(graft.random.choice((1, 5, 8, 9, 14))):
        value = helper.make_tensor_value_info("result", TensorProto.FLOAT, None)
        body = helper.make_graph(nodes, "branch", [], [value])
        yes = graft.constant(True)
        nodes = [helper.make_node("If", [yes], ["result"], then_branch=body, else_branch=body)]
    return _branch(graft, nodes)


def _odd(graft: Graft) -> str:
    """Apply any operator to arrays and attributes that it may or may not take."""
    operator = graft.random.choice(tuple(OPERATORS))
    sources, attributes = OPERATORS[operator]
    given = {}
    for name, values in attributes.items():
        if graft.random.random() < 0.2 and operator not in ("Cast",):
            continue
        value = graft.random.choice(values) if isinstance(values, tuple) else _integers(graft.random, values)
        given[name] = value
    outputs = 2 if operator in ("Split", "TopK", "Unique") else 1
    return graft.node(operator, *(_source(graft, source) for source in sources), outputs=outputs, **given)


def _integers(random: Random, count: int) -> Any:
    """Give integers for an attribute: a number if ``count`` is 0."""
    likely: Sequence[int] = (1, 1, 2, 0, -1) if random.random() < 0.6 else INTEGERS
    values = [random.choice(likely) for _ in range(max(1, count + random.choice((0, 0, 0, 0, -1, 1))))]
    return values if count else values[0]


def _source(graft: Graft, source: Any) -> str:
    """Add an array: floats of a shape, or so many integers, odd or not."""
    pick = graft.random.choice
    if isinstance(source, str):
        kind, _, count = source.partition(" ")
        likely: Sequence[int] = (0, 1, 1, 2, -1) if graft.random.random() < 0.5 else INTEGERS
        values = [pick(likely) for _ in range(int(count or 1))]
        return graft.live(np.array(values if count else values[0]).astype(kind))
    value = pick((0.0, 1.0, 1.0, -1.0, 0.5, 1e30, float("nan"), float("inf")))
    return graft.live(np.full(source, value), np.float32)


KINDS: dict[Callable[[Graft], str], int] = {_odd: 9, _trap: 4, _giant: 3, _scan: 2, _work: 1, _many: 1}
"""What may be grafted, with how often it is."""
