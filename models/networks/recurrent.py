"""A recurrent network, LSTM or GRU, that drops the same units at every time step."""

from collections.abc import Sequence

from torch import Tensor, nn

from caveat.models.networks.rates import layer_rates


class StepsDropout(nn.Dropout1d):
    """Dropout of features, the same ones at every time step (Gal & Ghahramani, NeurIPS 2016)."""

    def forward(self, steps: Tensor) -> Tensor:
        """Map steps (B, length, features) to steps of the same shape."""
        return super().forward(steps.mT).mT


class Recurrent(nn.Module):
    """LSTM or GRU layers, and an output of the last layer's last step. Takes sequences of any length.

    Dropout is applied to the inputs of each layer and of the output, not to the state between steps.

    Parameters
    ----------
    cell
        `torch.nn.LSTM` (Hochreiter & Schmidhuber, 1997) or `torch.nn.GRU` (Cho et al., EMNLP 2014).
    shape
        Shape of one row, (length, features); the length is ignored.
    outputs
        Number of logits, or None for a single value per row.
    hidden
        Units of each layer.
    dropout
        Dropout rates of units, see `caveat.models.networks.rates.layer_rates`; the input's rate is of
        features.
    """

    def __init__(
        self,
        cell: type[nn.LSTM] | type[nn.GRU],
        shape: Sequence[int],
        outputs: int | None,
        hidden: Sequence[int],
        dropout: Sequence[float],
    ) -> None:
        super().__init__()
        *rates, last = layer_rates(dropout, len(hidden))
        widths = (shape[1], *hidden)
        self.dropouts = nn.ModuleList(StepsDropout(rate) for rate in rates)
        self.layers = nn.ModuleList(
            cell(width, units, batch_first=True) for width, units in zip(widths, hidden, strict=False)
        )
        self.dropout = nn.Dropout(last)
        self.output = nn.Linear(hidden[-1], outputs or 1)
        self.single = outputs is None

    def forward(self, rows: Tensor) -> Tensor:
        """Map sequences (B, length, features) to logits (B, outputs), or to single values (B,)."""
        steps = rows
        for dropout, layer in zip(self.dropouts, self.layers, strict=True):
            steps, _ = layer(dropout(steps))
        values: Tensor = self.output(self.dropout(steps[:, -1]))
        return values.squeeze(-1) if self.single else values
