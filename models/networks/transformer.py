"""A Transformer encoder over a sequence."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from caveat.models.errors import CaveatError
from caveat.models.networks.rates import layer_rates

HEADS = 4
"""Attention heads, if the width is divisible by them; otherwise their greatest common divisor."""


class Positions(nn.Module):
    """Adds to each step sines and cosines of its position (Vaswani et al., NeurIPS 2017).

    The positions are computed for each sequence, so that a sequence may have any length.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", 10_000 ** (-torch.arange(0, width, 2) / width))

    def forward(self, steps: Tensor) -> Tensor:
        """Map steps (B, length, width) to steps of the same shape."""
        angles = torch.arange(steps.shape[1], device=steps.device).unsqueeze(-1) * self.frequencies
        return steps + torch.cat([angles.sin(), angles.cos()], dim=-1)[:, : steps.shape[2]]


class Transformer(nn.Module):
    """Encoder layers over projected steps, and an output of the mean over steps. Takes any length.

    Each layer normalises first, which needs no warm-up of the learning rate (Xiong et al., ICML 2020), and
    its feed-forward part is four times as wide as the layer.

    Parameters
    ----------
    shape
        Shape of one row, (length, features); the length is ignored.
    outputs
        Number of logits, or None for a single value per row.
    hidden
        Width of each encoder layer; all layers have the same width.
    dropout
        Dropout rates of each layer's attention weights and units, see
        `caveat.models.networks.rates.layer_rates`; the input's rate is of the projected steps.

    Raises
    ------
    CaveatError
        If the layers have different widths.
    """

    def __init__(
        self, shape: Sequence[int], outputs: int | None, hidden: Sequence[int], dropout: Sequence[float]
    ) -> None:
        super().__init__()
        first, *rates = layer_rates(dropout, len(hidden))
        width = hidden[0]
        if len(set(hidden)) > 1:
            raise CaveatError(
                f"layers of {', '.join(map(str, hidden))} units; a transformer has one width in all layers"
            )
        self.project = nn.Linear(shape[1], width)
        self.positions = Positions(width)
        self.dropout = nn.Dropout(first)
        self.layers = nn.Sequential(*(_layer(width, rate) for rate in rates))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, outputs or 1)
        self.single = outputs is None

    def forward(self, rows: Tensor) -> Tensor:
        """Map sequences (B, length, features) to logits (B, outputs), or to single values (B,)."""
        steps = self.layers(self.dropout(self.positions(self.project(rows))))
        values: Tensor = self.output(self.norm(steps).mean(dim=1))
        return values.squeeze(-1) if self.single else values


def _layer(width: int, rate: float) -> nn.TransformerEncoderLayer:
    heads = math.gcd(width, HEADS)
    return nn.TransformerEncoderLayer(width, heads, 4 * width, rate, batch_first=True, norm_first=True)
