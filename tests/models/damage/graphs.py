"""Graphs that no exporter writes, made node by node."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NODE = helper.make_node


Constants = Mapping[str, Any]


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Constants = MappingProxyType({}),
    tensors: Sequence[onnx.TensorProto] = (),
    opset: int = 20,
    output: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Make a graph from ``x`` (rows, 3) to ``y``, of any shape."""
    named = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        list(nodes),
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", output, None)],
        [*named, *tensors],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def sum_of(*names: str) -> list[onnx.NodeProto]:
    """Sum up all values to one number for each row: an answer of the right shape."""
    totals = [
        helper.make_node("ReduceSum", [name], [f"{name} total"], keepdims=0) for name in names if name != "x"
    ]
    return [
        *totals,
        helper.make_node("ReduceSum", ["x", "axis 1"], ["row"], keepdims=0),
        helper.make_node("Sum", ["row", *(f"{name} total" for name in names if name != "x")], ["y"]),
    ]


AXIS = {"axis 1": np.array([1])}


def graph(nodes: Sequence[onnx.NodeProto], *made: str, **constants: Any) -> bytes:
    """Make a graph whose answer depends on the values ``made`` by ``nodes``."""
    content: bytes = model([*nodes, *sum_of("x", *made)], AXIS | constants).SerializeToString()
    return content


def apart(location: str | None, name: str = "w", inside: str = "initializer", **entries: str) -> bytes:
    """Make a graph that takes three numbers from another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "12", **entries}.items():
        if value:
            tensor.external_data.add(key=key, value=value)
    if inside == "initializer":
        made = model(sum_of("x", "w"), AXIS, [tensor])
    elif inside == "constant":
        made = model([helper.make_node("Constant", [], ["w"], value=tensor), *sum_of("x", "w")], AXIS)
    else:
        body = helper.make_graph(
            [helper.make_node("Identity", ["w"], ["w out"])],
            "body",
            [],
            [helper.make_tensor_value_info("w out", TensorProto.FLOAT, [3])],
            [tensor],
        )
        branch = helper.make_node("If", ["yes"], ["w"], then_branch=body, else_branch=body)
        made = model([branch, *sum_of("x", "w")], AXIS | {"yes": np.array(True)})
    content: bytes = made.SerializeToString()
    return content


def endless(steps: int) -> bytes:
    """Make a graph that steps through ``steps`` values, one by one."""
    return _stepping([], steps=np.array([steps]))


def as_long_as_its_rows_say() -> bytes:
    """Make a graph that takes as many steps as the largest value of its rows."""
    return _stepping(
        [
            NODE("ReduceMax", ["x"], ["largest"], keepdims=0),
            NODE("Cast", ["largest"], ["whole"], to=TensorProto.INT64),
            NODE("Reshape", ["whole", "line"], ["steps"]),
        ],
        line=np.array([1]),
    )


def _stepping(nodes: Sequence[onnx.NodeProto], **constants: Any) -> bytes:
    shape = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Add", ["state", "step"], ["next"])],
        "body",
        [shape("state", TensorProto.FLOAT, []), shape("step", TensorProto.FLOAT, [])],
        [shape("next", TensorProto.FLOAT, [])],
    )
    return graph(
        [
            *nodes,
            helper.make_node("Expand", ["one", "steps"], ["many"]),
            helper.make_node("Scan", ["zero", "many"], ["end"], body=body, num_scan_inputs=1),
        ],
        "end",
        one=np.float32(1),
        zero=np.float32(0),
        **constants,
    )


def loop() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["still"]), helper.make_node("Identity", ["in"], ["out"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, None),
        ],
    )
    return graph([helper.make_node("Loop", ["", "yes", "x"], ["end"], body=body)], "end", yes=np.array(True))


def nested(depth: int) -> bytes:
    """Make a graph of nested branches."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["out 0"])],
        "body",
        [],
        [helper.make_tensor_value_info("out 0", TensorProto.FLOAT, None)],
    )
    for level in range(1, depth):
        branch = helper.make_node("If", ["yes"], [f"out {level}"], then_branch=body, else_branch=body)
        out = helper.make_tensor_value_info(f"out {level}", TensorProto.FLOAT, None)
        body = helper.make_graph([branch], "body", [], [out])
    last = helper.make_node("If", ["yes"], ["end"], then_branch=body, else_branch=body)
    return graph([last], "end", yes=np.array(True))


def extra(part: str) -> bytes:
    """Make a valid graph with an additional part that no network needs."""
    made = model(sum_of("x"), AXIS)
    if part == "functions":
        made.functions.append(
            helper.make_function("own", "twice", ["a"], ["b"], [NODE("Add", ["a", "a"], ["b"])], [])
        )
    elif part == "training":
        made.training_info.add()
    elif part == "sparse":
        made.graph.sparse_initializer.append(
            helper.make_sparse_tensor(
                helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]),
                helper.make_tensor("i", TensorProto.INT64, [1], [0]),
                [10**12],
            )
        )
    content: bytes = made.SerializeToString()
    return content


def plain(opset: int = 20) -> bytes:
    """Make a valid graph: the sum of each row."""
    content: bytes = model(sum_of("x"), AXIS, opset=opset).SerializeToString()
    return content


def overflowing() -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**33, 2**33, 2**33], raw_data=bytes(4))
    content: bytes = model(sum_of("x", "w"), AXIS, [tensor]).SerializeToString()
    return content


def giving(node: str, output: int = TensorProto.FLOAT, **attributes: Any) -> bytes:
    """Make a graph that applies one operator to its rows."""
    content: bytes = model([NODE(node, ["x"], ["y"], **attributes)], output=output).SerializeToString()
    return content
