"""Inputs of other sizes than the example's, made from the example."""

import keyword
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from caveat.models.bundles.manifest import PASSES
from caveat.models.bundles.signature import ROWS, SIZE
from caveat.training.errors import ExportError

Axes = Sequence[Mapping[int, str]]
"""Names of the free sizes of each input, by axis; axis 0 holds the rows."""


def check_names(free: Mapping[str, Mapping[int, str]], inputs: Mapping[str, Tensor]) -> None:
    """Refuse names of free sizes that a bundle can't state, and places that the inputs do not have.

    Parameters
    ----------
    free
        For each input, the names by axis.
    inputs
        Example inputs by name.

    Raises
    ------
    ExportError
        Naming the input, axis or name.
    """
    for key, axes in free.items():
        if key not in inputs:
            raise ExportError(
                f"free sizes are given for {key}; the inputs are {', '.join(inputs)}. To name inputs, give "
                "the example as a mapping, or as a .npz file"
            )
        for axis, size in axes.items():
            if size in (ROWS, PASSES) or keyword.iskeyword(size) or not re.fullmatch(SIZE, size):
                raise ExportError(
                    f"a free size can't be called {size!r}: a name has lower-case letters, digits and _, and "
                    f"is no word of Python, nor {ROWS} or {PASSES}"
                )
            if not 0 < axis < inputs[key].ndim:
                raise ExportError(
                    f"{key} has no axis {axis} whose size could be free: its example has shape "
                    f"{tuple(inputs[key].shape)}, and axis 0 is the row"
                )


def free_sizes(tensors: Sequence[Tensor], axes: Axes) -> dict[str, int]:
    """Give the value of each free size in the example, by name."""
    pairs = zip(tensors, axes, strict=True)
    return {name: tensor.shape[axis] for tensor, named in pairs for axis, name in named.items() if axis > 0}


def example_sizes(tensors: Sequence[Tensor], axes: Axes) -> dict[str, int]:
    """Give the value of each free size in the example, the number of rows among them."""
    return {ROWS: len(tensors[0]), **free_sizes(tensors, axes)}


def traceable(tensors: Sequence[Tensor], axes: Axes) -> list[Tensor]:
    """Repeat the example along each free size of 1, which the tracer would take for a constant."""
    for name, size in free_sizes(tensors, axes).items():
        if size == 1:
            tensors = resized(tensors, axes, name, 2)
    return list(tensors)


def at_sizes(tensors: Sequence[Tensor], axes: Axes, sizes: Mapping[str, int]) -> list[Tensor]:
    """Cut or repeat the example to the given free sizes and number of rows."""
    for name, size in sizes.items():
        tensors = resized(tensors, axes, name, size)
    return [tensor[torch.arange(sizes[ROWS]) % len(tensor)] for tensor in tensors]


def resized(tensors: Sequence[Tensor], axes: Axes, name: str, size: int) -> list[Tensor]:
    """Cut the example to ``size`` along every axis with a name, or continue each row with the next one."""
    changed = []
    for tensor, named in zip(tensors, axes, strict=True):
        for axis, own in named.items():
            if axis > 0 and own == name:
                repeats = -(-size // tensor.shape[axis])
                rows = torch.cat([tensor.roll(-number, 0) for number in range(repeats)], axis)
                tensor = rows.narrow(axis, 0, size).contiguous()
        changed.append(tensor)
    return changed


def runs_on(module: nn.Module, tensors: Sequence[Tensor]) -> bool:
    """Tell whether a network runs on the given inputs, and answers with finite numbers."""
    try:
        with torch.no_grad():
            return bool(module(*(tensor.clone() for tensor in tensors)).isfinite().all())
    except Exception:  # the user's code may raise anything
        return False


def least(module: nn.Module, tensors: Sequence[Tensor], axes: Axes, name: str, low: int) -> int:
    """Find the least size from ``low`` on that a network runs on."""
    high = free_sizes(tensors, axes)[name]
    small = [tensor[:1] for tensor in tensors]
    sizes = range(low, high)
    return next((size for size in sizes if runs_on(module, resized(small, axes, name, size))), high)
