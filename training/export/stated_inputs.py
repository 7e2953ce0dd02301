"""The input signature of a captured network."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from caveat.models.bundles.signature import Input
from caveat.training.errors import ExportError
from caveat.training.export.ranges import Range
from caveat.training.export.sizes import Axes

aten = torch.ops.aten


def stated_inputs(graph: fx.GraphModule, example: Mapping[str, Tensor], axes: Axes) -> tuple[Input, ...]:
    """Describe the inputs: types and shapes, and the range of indices.

    Parameters
    ----------
    graph
        The network as a graph.
    example
        Example inputs by name.
    axes
        Names of the free sizes of each input.

    Raises
    ------
    ExportError
        If an input is neither floating-point numbers nor integers.
    """
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    return tuple(
        _input(name, tensor, node, named)
        for (name, tensor), node, named in zip(example.items(), placeholders, axes, strict=True)
    )


def with_sizes(inputs: Sequence[Input], ranges: Mapping[str, Range]) -> tuple[Input, ...]:
    """State the range of each free size."""
    return tuple(
        spec.model_copy(
            update={
                "sizes": {
                    size: (ranges[size].least, ranges[size].most)
                    for size in spec.shape[1:]
                    if isinstance(size, str)
                }
            }
        )
        for spec in inputs
    )


def _input(name: str, tensor: Tensor, node: fx.Node, named: Mapping[int, str]) -> Input:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in ("float32", "float64", "int64"):
        raise ExportError(f"the example of {name} is {dtype}; expected floating-point numbers or integers")
    shape = tuple(named.get(axis, int(size)) for axis, size in enumerate(tensor.shape))
    below = _vocabulary(node) if dtype == "int64" else None
    return Input.model_validate({"name": name, "dtype": dtype, "shape": shape, "below": below})


def _vocabulary(node: fx.Node) -> int | None:
    """Find the number of indices that an input may hold, from the embeddings that it looks up."""
    sizes: list[Any] = [
        user.args[0].meta["val"].shape[0]  # type: ignore[union-attr]
        for user in node.users
        if user.target is aten.embedding.default and user.args[1] is node
    ]
    return min(sizes, default=None)
