"""Operators for all passes at once, where a rule of vmap is missing or would fix the number of passes.

Each takes the arguments of PyTorch's operator, with a pass axis in front of every tensor, of size 1 where
the tensor is the same in every pass; and gives its results with the pass axis in front.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from caveat.training.export import cells
from caveat.training.export.convolution import CONVOLUTIONS, convolve
from caveat.training.export.recurrent import LAYERS

aten = torch.ops.aten

DROPPED_WEIGHTS = (
    "Drop the inputs or outputs of the layer instead; weights may be dropped in linear, convolutional, "
    "recurrent, embedding and layer norm layers"
)
"""What to change where an operator can't run with weights of each pass."""


def _embedding(tables: Tensor, entries: Tensor, *_: Any) -> Tensor:
    """Look up in one table of all passes."""
    first = torch.arange(tables.shape[0]) * tables.shape[1]
    numbers = entries + first.reshape(-1, *[1] * (entries.ndim - 1))
    return F.embedding(numbers, tables.flatten(0, 1))


def _gather(values: Tensor, axis: int, places: Tensor, **_: Any) -> Tensor:
    passes = torch.broadcast_shapes(values.shape[:1], places.shape[:1])[0]
    values, places = (part.expand(passes, *part.shape[1:]) for part in (values, places))
    return values.gather(axis + 1 if axis >= 0 else axis, places)


def _layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    normed = F.layer_norm(x, shape, eps=eps)
    between = [1] * (x.ndim - 1 - len(shape))
    if weight is not None:
        normed = normed * weight.reshape(weight.shape[0], *between, *shape)
    return normed if bias is None else normed + bias.reshape(bias.shape[0], *between, *shape)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * slope.reshape(slope.shape[0], 1, -1, *[1] * (x.ndim - 3)))


BY_PASS: dict[Any, Callable[..., Any]] = {
    aten.embedding.default: _embedding,
    aten.gather.default: _gather,
    aten.layer_norm.default: _layer_norm,
    aten.prelu.default: _prelu,
    **dict.fromkeys(CONVOLUTIONS, convolve),
    **{layer: partial(cells.layer, kind) for layer, kind in LAYERS.items()},
}
"""The function for each operator."""
