"""Penalties on weights, which are part of the loss that a step lowers."""

from collections.abc import Sequence

import torch
from torch import Tensor


def penalty(weights: Sequence[Tensor], l1: float, l2: float) -> Tensor:
    """Add up ``l1`` times the absolute values of weights, and ``l2`` times their squares.

    Parameters
    ----------
    weights
        Weights of any shapes, at least one.
    l1, l2
        Factors, at least 0.

    Returns
    -------
    Tensor
        A number, (). Its gradient is ``l1 * sign(w) + 2 * l2 * w``.

    Examples
    --------
    >>> penalty([torch.tensor([1.0, -2.0]), torch.tensor([[3.0]])], l1=0.5, l2=0.1)
    tensor(4.4000)
    """
    total = torch.zeros((), device=weights[0].device)
    if l1:
        total = total + l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()
    if l2:
        total = total + l2 * torch.stack([weight.square().sum() for weight in weights]).sum()
    return total
