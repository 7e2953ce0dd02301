"""Categories hidden at random in training, so that a network learns what to make of unknown ones."""

from collections.abc import Mapping

import torch
from torch import Tensor


class UnseenMask:
    """Turns categories of prepared rows into unknown ones at random, from torch's global generator.

    Parameters
    ----------
    others
        The columns of a feature's known categories, and its column of others; for each feature with one.
    probability
        Probability with which each category of a row is hidden.
    """

    def __init__(self, others: Mapping[range, int], probability: float) -> None:
        self._others = dict(others)
        self._probability = probability

    def __call__(self, rows: Tensor) -> Tensor:
        """Hide categories of rows (B, columns), in a copy; a missing category stays missing."""
        if not self._others:
            return rows
        hidden = torch.rand(len(rows), len(self._others)) < self._probability
        rows = rows.clone()
        for (known, other), of in zip(self._others.items(), hidden.unbind(1), strict=True):
            columns = slice(known.start, known.stop)
            of = of & (rows[:, columns] != 0).any(dim=1)
            rows[of, columns] = 0
            rows[of, other] = 1
        return rows
