"""Changes to the fields of a graph: operators, attributes, constants, nodes, edges, types."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from mutation.grafts import INTEGERS
from mutation.operators import OPERATORS


def mutate(model: onnx.ModelProto, random: Random) -> str:
    """Change a field of a graph, in place; give the name of the change."""
    changes: dict[str, Callable[[onnx.ModelProto, Any], None]] = {
        "operator": _operator,
        "attribute": _attribute,
        "constant": _constant,
        "node": _node,
        "edge": _edge,
        "type": _type,
        "version": _version,
    }
    change = random.choice(tuple(changes))
    changes[change](model, random)
    return change


def _operator(model: onnx.ModelProto, random: Random) -> None:
    random.choice(model.graph.node).op_type = random.choice(
        (
            *OPERATORS,
            "Loop",
            "If",
            "Scan",
            "Div",
            "Sub",
            "Identity",
            "Exp",
            "Log",
            "StringConcat",
            "Bernoulli",
        )
    )


def _attribute(model: onnx.ModelProto, random: Random) -> None:
    node = random.choice([node for node in model.graph.node if node.attribute] or model.graph.node)
    if not node.attribute:
        node.attribute.append(helper.make_attribute("axis", random.choice(INTEGERS)))
        return
    attribute = random.choice(node.attribute)
    if attribute.type == AttributeProto.INT:
        attribute.i = random.choice(INTEGERS)
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[random.randrange(len(attribute.ints))] = random.choice(INTEGERS)
    elif attribute.type == AttributeProto.TENSOR:
        _change(attribute.t, random)
    else:
        attribute.type = random.choice((AttributeProto.INT, AttributeProto.STRINGS, AttributeProto.GRAPH))


def _constant(model: onnx.ModelProto, random: Random) -> None:
    if model.graph.initializer:
        _change(random.choice(model.graph.initializer), random)


def _change(tensor: TensorProto, random: Random) -> None:
    way = random.random()
    if way < 0.4 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(INTEGERS)
    elif way < 0.5:
        tensor.data_type = random.choice(TensorProto.DataType.values())
    elif tensor.external_data:
        random.choice(tensor.external_data).value = str(
            random.choice((*INTEGERS, "manifest.json", "../x", ""))
        )
    elif tensor.data_type == TensorProto.INT64:
        count = len(numpy_helper.to_array(tensor).ravel())
        del tensor.int64_data[:]
        values = [random.choice(INTEGERS) for _ in range(count)]
        tensor.raw_data = np.array(values, np.int64).tobytes()
    else:
        tensor.raw_data = random.randbytes(len(tensor.raw_data) + random.choice((0, 0, 0, 4, -1)) or 1)


def _node(model: onnx.ModelProto, random: Random) -> None:
    nodes = model.graph.node
    at = random.randrange(len(nodes))
    if random.random() < 0.5:
        del nodes[at]
    else:
        nodes.append(nodes[at])
        if random.random() < 0.7:
            nodes[-1].output[0] += " again"


def _edge(model: onnx.ModelProto, random: Random) -> None:
    names = [name for node in model.graph.node for name in node.output]
    names += [value.name for value in model.graph.input] + [tensor.name for tensor in model.graph.initializer]
    node = random.choice([node for node in model.graph.node if node.input] or model.graph.node)
    if node.input:
        node.input[random.randrange(len(node.input))] = random.choice((*names, "", "nowhere"))


def _type(model: onnx.ModelProto, random: Random) -> None:
    tensor = random.choice((*model.graph.input, *model.graph.output)).type.tensor_type
    if random.random() < 0.4 or not tensor.shape.dim:
        tensor.elem_type = random.choice(TensorProto.DataType.values())
    elif random.random() < 0.7:
        random.choice(tensor.shape.dim).dim_value = random.choice(INTEGERS)
    else:
        del tensor.shape.dim[-1]


def _version(model: onnx.ModelProto, random: Random) -> None:
    if random.random() < 0.5:
        model.opset_import[0].version = random.choice((1, 7, 9, 11, 13, 18, 21, 23, 24, 0, -1, 10**6))
    else:
        model.ir_version = random.choice((0, 3, 8, 11, 12, 13, 2**31 - 1))
