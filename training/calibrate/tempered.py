"""The graph of the passes, with their logits divided by a temperature."""

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

_NAME = "caveat_temperature"

_LAST = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Cast")
"""What may stand between the softmax and the output."""


def tempered(graph: bytes, temperature: float) -> bytes:
    """Divide the logits of a graph that answers with probabilities, also of one that was tempered before.

    Where the graph does not end in a softmax, the logarithms of its probabilities are the logits.

    Parameters
    ----------
    graph
        Bytes of an ONNX file.
    """
    model = onnx.load_model_from_string(graph)
    softmax = _softmax(model.graph) or _appended(model.graph)
    if (before := _tempering(model.graph, softmax)) is not None:
        (constant,) = (each for each in model.graph.initializer if each.name == before.input[1])
        stated = numpy_helper.to_array(constant) * temperature
        constant.CopyFrom(numpy_helper.from_array(stated.astype(np.float32), constant.name))
        return _bytes(model)
    constant = numpy_helper.from_array(np.array(temperature, np.float32), _NAME)
    divided = helper.make_node("Div", [softmax.input[0], _NAME], [f"{_NAME}_logits"], name=_NAME)
    softmax.input[0] = divided.output[0]
    model.graph.initializer.append(constant)
    model.graph.node.insert(list(model.graph.node).index(softmax), divided)
    return _bytes(model)


def _bytes(model: ModelProto) -> bytes:
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _softmax(graph: GraphProto) -> NodeProto | None:
    """Find the softmax that the output comes from."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in _LAST:
        node = makers.get(node.input[0])
    return node if node is not None and node.op_type == "Softmax" else None


def _appended(graph: GraphProto) -> NodeProto:
    """Let the graph end in a softmax, of the logarithms of what it ended in; of 0, that of the least."""
    output = graph.output[0].name
    inner = f"{_NAME}_probabilities"
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [inner if name == output else name for name in names]
    least = numpy_helper.from_array(np.array(np.finfo(np.float32).tiny, np.float32), f"{_NAME}_least")
    graph.initializer.append(least)
    graph.node.extend(
        [
            helper.make_node("Max", [inner, least.name], [f"{_NAME}_positive"]),
            helper.make_node("Log", [f"{_NAME}_positive"], [f"{_NAME}_logarithms"]),
            helper.make_node("Softmax", [f"{_NAME}_logarithms"], [output], axis=-1),
        ]
    )
    last: NodeProto = graph.node[-1]
    return last


def _tempering(graph: GraphProto, softmax: NodeProto) -> NodeProto | None:
    return next(
        (node for node in graph.node if node.name == _NAME and node.output[0] == softmax.input[0]), None
    )
