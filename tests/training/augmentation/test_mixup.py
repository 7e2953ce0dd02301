"""Pairs of rows mixed, and their losses with them."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from caveat.training.augmentation.mixup import Mixup


def test_the_loss_is_that_of_the_targets_mixed_alike() -> None:
    rows, targets = torch.eye(6), torch.tensor([0, 1, 2, 0, 1, 2])
    outputs = torch.randn(6, 3)
    mixed, loss = Mixup(1.0)(rows, cross_entropy)
    shares = mixed @ one_hot(targets).float()  # the rows are the unit vectors: they tell their shares
    torch.testing.assert_close(loss(outputs, targets), cross_entropy(outputs, shares))
    assert not torch.equal(mixed, rows)


@pytest.mark.parametrize(("alpha", "least", "most"), [(0.01, 0.0, 0.01), (10.0, 0.3, 0.5)])
def test_small_alphas_leave_rows_nearly_as_they_are(alpha: float, least: float, most: float) -> None:
    first = (torch.arange(1000) == 0).double()
    shares = []
    for _ in range(51):
        _, loss = Mixup(alpha)(first, lambda _, targets: targets[0])  # which is the share of the first row
        shares.append(loss(first, first).item())
    assert least <= np.median([min(share, 1 - share) for share in shares]) <= most
