"""Noise on sequences, and steps that are hidden."""

import torch
from torch import Tensor


class Jitter:
    """Adds noise to each value, in proportion to its feature's standard deviation.

    Parameters
    ----------
    deviation
        Standard deviation of the noise for each feature, (features,).
    """

    def __init__(self, deviation: Tensor) -> None:
        self._deviation = deviation

    def __call__(self, rows: Tensor) -> Tensor:
        """Change sequences, (B, length, features)."""
        return rows + torch.randn(rows.shape).to(rows) * self._deviation.to(rows)


class Mask:
    """Puts each feature's mean in place of a span of steps of each sequence.

    Parameters
    ----------
    longest
        Longest span, as a part of the steps.
    mean
        Mean of each feature, (features,).
    """

    def __init__(self, longest: float, mean: Tensor) -> None:
        self._longest = longest
        self._mean = mean

    def __call__(self, rows: Tensor) -> Tensor:
        """Change sequences, (B, length, features)."""
        count, length = rows.shape[:2]
        span = torch.rand(count, 1) * self._longest * length
        start = torch.rand(count, 1) * (length - span)
        step = torch.arange(length) + 0.5
        hidden = (step >= start) & (step < start + span)
        return torch.where(hidden[..., None].to(rows.device), self._mean.to(rows), rows)
