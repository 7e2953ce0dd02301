"""The input signature of a captured network."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from caveat.models.bundles.signature import Input
from caveat.training.errors import ExportError
from caveat.training.export.sizes import Axes, free_sizes, least

aten = torch.ops.aten


def stated_inputs(
    graph: fx.GraphModule, module: nn.Module, example: Mapping[str, Tensor], axes: Axes
) -> list[Input]:
    """Describe the inputs: types and shapes, the ranges of free sizes, and the range of indices.

    Parameters
    ----------
    graph, module
        The network as a graph, and as a module to try sizes on.
    example
        Example inputs by name.
    axes
        Names of the free sizes of each input.

    Raises
    ------
    ExportError
        If an input is neither floating-point numbers nor integers.
    """
    tensors = list(example.values())
    least_of = {name: least(module, tensors, axes, name) for name in free_sizes(tensors, axes)}
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    return [
        _input(name, tensor, node, named, least_of)
        for (name, tensor), node, named in zip(example.items(), placeholders, axes, strict=True)
    ]


def _input(
    name: str, tensor: Tensor, node: fx.Node, named: Mapping[int, str], least_of: Mapping[str, int]
) -> Input:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in ("float32", "float64", "int64"):
        raise ExportError(f"the example of {name} is {dtype}; expected floating-point numbers or integers")
    shape = tuple(named.get(axis, int(size)) for axis, size in enumerate(tensor.shape))
    sizes = {named[axis]: (least_of[named[axis]], _most(node, axis)) for axis in named if axis > 0}
    below = _vocabulary(node) if dtype == "int64" else None
    return Input.model_validate(
        {"name": name, "dtype": dtype, "shape": shape, "sizes": sizes, "below": below}
    )


def _most(node: fx.Node, axis: int) -> int | None:
    """Find the largest value of a free size that the trace allows; None if the trace sets no limit."""
    size = node.meta["val"].shape[axis]
    bounds = size.node.shape_env.bound_sympy(size.node.expr)
    return int(bounds.upper) if bounds.upper.is_Integer and bounds.upper < 2**31 else None


def _vocabulary(node: fx.Node) -> int | None:
    """Find the number of indices that an input may hold, from the embeddings that it looks up."""
    sizes: list[Any] = [
        user.args[0].meta["val"].shape[0]  # type: ignore[union-attr]
        for user in node.users
        if user.target is aten.embedding.default and user.args[1] is node
    ]
    return min(sizes, default=None)
