"""Pairs of rows mixed, and their losses with them (Zhang et al., ICLR 2018)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Beta

Loss = Callable[[Tensor, Tensor], Tensor]


class Mixup:
    """Mixes each row of a batch with another one; a batch has one share, from torch's global generator.

    Parameters
    ----------
    alpha
        The share of the first row is drawn from Beta(alpha, alpha).
    """

    def __init__(self, alpha: float) -> None:
        self._shares = Beta(torch.tensor(alpha), torch.tensor(alpha))

    def __call__(self, rows: Tensor, loss: Loss) -> tuple[Tensor, Loss]:
        """Mix rows, (B, ...); give them, and the loss of outputs and the targets of the rows as they were."""
        share, order = self._shares.sample().item(), torch.randperm(len(rows)).to(rows.device)

        def mixed(outputs: Tensor, targets: Tensor) -> Tensor:
            return share * loss(outputs, targets) + (1 - share) * loss(outputs, targets[order])

        return share * rows + (1 - share) * rows[order], mixed
