"""A bound on the weights of each unit."""

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def bound(weights: Sequence[Tensor], most: float) -> None:
    """Shrink the weights of each unit in place until their norm is at most ``most``.

    Srivastava et al. (JMLR 2014, section 5.1) do so after each step. A unit is a row of a matrix, as
    of a linear layer or of a gate in a recurrent one, or a channel of a kernel.

    Parameters
    ----------
    weights
        Weights, (units, ...).
    most
        The largest Euclidean norm of a unit's weights, above 0.

    Examples
    --------
    >>> weight = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    >>> bound([weight], most=1.0)
    >>> weight
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    for weight in weights:
        weight.copy_(torch.renorm(weight, p=2, dim=0, maxnorm=most))
