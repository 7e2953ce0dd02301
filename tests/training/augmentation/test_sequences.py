"""Noise on sequences, and steps that are hidden."""

import torch

from caveat.training.augmentation.sequences import Jitter, Mask

ROWS, LENGTH = 500, 40
MEAN = torch.tensor([3.0, -5.0])


def test_jitter_is_in_proportion_to_each_features_deviation() -> None:
    rows = torch.zeros(ROWS, LENGTH, 2)
    noise = Jitter(torch.tensor([0.5, 20.0], dtype=torch.float64))(rows)
    assert noise.dtype == rows.dtype
    torch.testing.assert_close(noise.std(dim=(0, 1)), torch.tensor([0.5, 20.0]), rtol=0.05, atol=0)
    assert noise.mean(dim=(0, 1)).abs().max() < 0.5


def test_a_mask_hides_a_span_of_steps_behind_the_means() -> None:
    rows = 100 + torch.rand(ROWS, LENGTH, 2)
    masked = Mask(0.25, MEAN.double())(rows)
    hidden = masked != rows
    assert torch.equal(hidden[..., 0], hidden[..., 1])
    assert torch.equal(masked[hidden[..., 0]], MEAN.expand(int(hidden[..., 0].sum()), 2))
    counts = hidden[..., 0].sum(1)
    assert counts.max() == 10
    assert counts.float().mean() > 4
    edges = hidden[..., 0].int().diff(dim=1).abs().sum(1)
    assert edges.max() <= 2, "one span for each row"
    assert (hidden[..., 0].sum(0) > 0).all(), "every step may be hidden"
