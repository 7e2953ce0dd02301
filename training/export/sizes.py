"""Inputs of other sizes than the example's, made from the example."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Axes = Sequence[Mapping[int, str]]
"""Names of the free sizes of each input, by axis; axis 0 holds the rows."""


def free_sizes(tensors: Sequence[Tensor], axes: Axes) -> dict[str, int]:
    """Give the value of each free size in the example, by name."""
    pairs = zip(tensors, axes, strict=True)
    return {name: tensor.shape[axis] for tensor, named in pairs for axis, name in named.items() if axis > 0}


def resized(tensors: Sequence[Tensor], axes: Axes, name: str, size: int) -> list[Tensor]:
    """Cut or repeat the example to ``size`` along every axis with a name."""
    changed = []
    for tensor, named in zip(tensors, axes, strict=True):
        for axis, own in named.items():
            if axis > 0 and own == name:
                tensor = tensor.index_select(axis, torch.arange(size) % tensor.shape[axis])
        changed.append(tensor)
    return changed


def runs_on(module: nn.Module, tensors: Sequence[Tensor]) -> bool:
    """Tell whether a network runs on the given inputs."""
    try:
        with torch.no_grad():
            module(*tensors)
    except Exception:  # the user's code may raise anything
        return False
    return True


def least(module: nn.Module, tensors: Sequence[Tensor], axes: Axes, name: str) -> int:
    """Find the least size that a network runs on, if it runs on all sizes from there to the example's."""
    low, high = 1, free_sizes(tensors, axes)[name]
    while low < high:
        middle = (low + high) // 2
        if runs_on(module, resized(tensors, axes, name, middle)):
            high = middle
        else:
            low = middle + 1
    return high
