"""Operators rewritten so that a row has the same bits in every batch.

ONNX Runtime computes some operators in another way where there is a single row. Without these rewritings, a
model that has one of them would run every lone row twice; see `Manifest.least_rows`.
"""

import math
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

_REDUCTIONS = {aten.mean.dim, aten.sum.dim_IntList}
_PRODUCTS = {aten.linear.default, aten.mm.default, aten.matmul.default, aten.addmm.default}


def adds_up_inner_axes(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether an operator adds up over neighbouring axes behind the first and before the last."""
    if target not in _REDUCTIONS or not args[1] or len(args) > 3 or "dtype" in kwargs:
        return False
    axes = _axes(args)
    first, last = axes[0], axes[-1]
    return (
        first > 0
        and last < args[0].ndim - 1
        and len(axes) == last - first + 1
        and args[0].is_floating_point()
    )


def as_product(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Add up as a product with ones, for each row by itself."""
    x, axes = args[0], _axes(args)
    first, last = axes[0], axes[-1]
    before, added, after = x.shape[:first], x.shape[first : last + 1], x.shape[last + 1 :]
    flat = x.reshape(*before, math.prod(added), math.prod(after))
    total: Tensor = x.new_ones(1, flat.shape[-2]) @ flat
    if target is aten.mean.dim:
        total = total / flat.shape[-2]
    keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    return total.reshape(*before, *([1] * len(added) if keep else []), *after)


def multiplies_lone_row(target: Any, args: tuple[Any, ...]) -> bool:
    """Tell whether an operator multiplies rows of numbers, of which a run may have one, by a matrix."""
    place = 1 if target is aten.addmm.default else 0
    if target not in _PRODUCTS or args[place].ndim != 2 or args[place + 1].ndim != 2:
        return False
    count = args[place].shape[0]
    if not isinstance(count, torch.SymInt):
        return False
    least: bool = count.node.expr.as_coeff_Mul()[0] == 1  # 128 rows * steps is never 1
    return least


def with_one_more_row(target: Any, args: tuple[Any, ...]) -> Tensor:
    """Multiply the rows and the first row once more, which is left out of the result."""
    place = 1 if target is aten.addmm.default else 0
    rows = args[place]
    more: Tensor = target(*args[:place], torch.cat([rows, rows[:1]]), *args[place + 1 :])
    return more[: rows.shape[0]]


def _axes(args: tuple[Any, ...]) -> list[int]:
    return sorted(axis % args[0].ndim for axis in args[1])
