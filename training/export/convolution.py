"""Convolutions whose weights differ between passes, as products with the windows of their input."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

aten = torch.ops.aten

CONVOLUTIONS: set[Any] = {
    overload
    for operator in (aten.conv1d, aten.conv2d, aten.conv3d)
    for overload in (operator.default, operator.padding)
}
"""The operators that `convolve` computes."""


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Tensor:
    """Convolve in all passes.

    Parameters
    ----------
    x
        Shape (N, B, C, ...), where N may be 1, as in the weight and the bias.
    weight, bias
        Shape (N, O, C / groups, ...) and (N, O).
    stride, padding, dilation, groups
        Those of PyTorch, one number for all axes or one for each.

    Returns
    -------
    Tensor
        Shape (N, B, O, ...).
    """
    kernel = weight.shape[3:]
    stride, dilation = (tuple(each) * (len(kernel) // len(each)) for each in (stride, dilation))
    padded = F.pad(x, _pads(padding, kernel, dilation))
    sizes = [
        (size - step * (width - 1) - 1) // stride_ + 1
        for size, width, step, stride_ in zip(padded.shape[3:], kernel, dilation, stride, strict=True)
    ]
    windows = []
    for offsets in itertools.product(*map(range, kernel)):
        part = padded
        for axis, offset in enumerate(offsets):
            first = offset * dilation[axis]
            part = part[
                (slice(None),) * (3 + axis)
                + (slice(first, first + stride[axis] * (sizes[axis] - 1) + 1, stride[axis]),)
            ]
        windows.append(part)
    # (N, B, groups, C / groups x kernel, places)
    patches = torch.stack(windows, 3).flatten(4).unflatten(2, (groups, -1)).flatten(3, 4)
    factors = weight.flatten(2).unflatten(1, (groups, -1)).unsqueeze(1)
    product: Tensor = (factors @ patches).flatten(2, 3).unflatten(3, sizes)
    if bias is None:
        return product
    return product + bias.reshape(bias.shape[0], 1, -1, *[1] * len(kernel))


def _pads(padding: Sequence[int] | str, kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Give the padding at both ends of each axis, the last axis first."""
    if isinstance(padding, str):
        total = [
            step * (width - 1) if padding == "same" else 0
            for width, step in zip(kernel, dilation, strict=True)
        ]
        pairs = [(each // 2, each - each // 2) for each in total]
    else:
        pairs = [(each, each) for each in tuple(padding) * (len(kernel) // len(padding))]
    return [each for pair in reversed(pairs) for each in pair]
