"""Divisions of integers: exact as in PyTorch, and safe for every value.

The least integer divided by -1 has no result in its type: a processor stops the program at it. So a graph
divides ``-a`` by 1 where it would divide ``a`` by -1, and takes remainders by 1 in place of -1, which are 0
either way. A division by 0 stays as it is: ONNX Runtime refuses to run it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

aten = torch.ops.aten

_ROUNDED: Final = {aten.div.Tensor_mode, aten.div.Scalar_mode}

_TYPES: Final = (ir.DataType.INT32, ir.DataType.INT64)
"""The types in which a processor divides; smaller integers are widened first."""

_MOST_BYTES: Final = 1024
"""Constants from this size on lie outside the graph, where its reader does not look at their values."""


def divides_integers(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether the exporter would divide these integers in float32, or not at all."""
    if target is aten.floor_divide.default:
        return not isinstance(args[0], Tensor)
    rounded = target in _ROUNDED and kwargs.get("rounding_mode") is not None
    return rounded and not torch.result_type(args[0], args[1]).is_floating_point


def as_integers(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """Divide integers, rounded down or towards zero."""
    kind = torch.result_type(args[0], args[1])
    dividend, divisor = (torch.as_tensor(operand).to(kind) for operand in args)
    if kwargs.get("rounding_mode") == "trunc":
        dividend = dividend - torch.fmod(dividend, divisor)
    return torch.floor_divide(dividend, divisor)


def guard(model: ir.Model) -> None:
    """Guard the integer divisions and remainders of a graph, and of those within it, against -1."""
    for graph in model.graphs():
        guarded: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        for node in list(graph):
            if node.op_type in ("Div", "Mod") and _may_trap(node):
                _guard(graph, node, guarded)


def _may_trap(node: ir.Node) -> bool:
    divisor = node.inputs[1]
    assert divisor is not None
    if not any(value is not None and value.dtype in _TYPES for value in (*node.inputs, *node.outputs)):
        return False
    constant = ir.convenience.get_const_tensor(divisor)
    return constant is None or constant.nbytes >= _MOST_BYTES or bool((constant.numpy() == -1).any())


def _guard(graph: ir.Graph, node: ir.Node, guarded: dict[ir.Value, tuple[ir.Value, ir.Value]]) -> None:
    dividend, divisor = node.inputs
    assert dividend is not None
    assert divisor is not None
    kind = divisor.dtype or dividend.dtype or node.outputs[0].dtype
    assert kind is not None

    def put(operator: str, *inputs: ir.Value, like: ir.Value, dtype: ir.DataType) -> ir.Value:
        made = ir.node(operator, inputs)
        (output,) = made.outputs
        output.shape, output.dtype = like.shape, dtype
        graph.insert_before(node, made)
        return output

    def constant(number: int) -> ir.Value:
        made = ir.node("Constant", [], {"value": ir.tensor(np.array(number, kind.numpy()))})
        graph.insert_before(node, made)
        return made.outputs[0]

    if divisor not in guarded:
        inverse = put("Equal", divisor, constant(-1), like=divisor, dtype=ir.DataType.BOOL)
        guarded[divisor] = (
            inverse,
            put("Where", inverse, constant(1), divisor, like=divisor, dtype=kind),
        )
    inverse, safe = guarded[divisor]
    node.replace_input_with(1, safe)
    if node.op_type == "Div":
        negative = put("Neg", dividend, like=dividend, dtype=kind)
        node.replace_input_with(
            0, put("Where", inverse, negative, dividend, like=node.outputs[0], dtype=kind)
        )
