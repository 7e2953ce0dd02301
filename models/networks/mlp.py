"""A multilayer perceptron with dropout."""

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from caveat.models.networks.rates import layer_rates


class MLP(nn.Module):
    """Fully connected layers of ReLU units, each followed by dropout (Srivastava et al., JMLR 2014).

    Parameters
    ----------
    shape
        Shape of one row; it is flattened.
    outputs
        Number of logits, or None for a single value per row.
    hidden
        Units of each hidden layer.
    dropout
        Dropout rates of single units, see `caveat.models.networks.rates.layer_rates`. A rate of 0 adds no
        dropout.

    Examples
    --------
    >>> MLP(shape=(8, 8), outputs=10, hidden=(128,), dropout=(0.5,))
    MLP(
      (layers): Sequential(
        (flatten): Flatten(start_dim=1, end_dim=-1)
        (hidden1): Linear(in_features=64, out_features=128, bias=True)
        (relu1): ReLU()
        (dropout1): Dropout(p=0.5, inplace=False)
        (output): Linear(in_features=128, out_features=10, bias=True)
      )
    )
    """

    def __init__(
        self, shape: Sequence[int], outputs: int | None, hidden: Sequence[int], dropout: Sequence[float]
    ) -> None:
        super().__init__()
        rates = layer_rates(dropout, len(hidden))
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        if rates[0] > 0:
            layers["dropout0"] = nn.Dropout(rates[0])
        width = math.prod(shape)
        for number, (units, rate) in enumerate(zip(hidden, rates[1:], strict=True), start=1):
            layers[f"hidden{number}"] = nn.Linear(width, units)
            layers[f"relu{number}"] = nn.ReLU()
            if rate > 0:
                layers[f"dropout{number}"] = nn.Dropout(rate)
            width = units
        layers["output"] = nn.Linear(width, outputs or 1)
        self.layers = nn.Sequential(layers)
        self.single = outputs is None

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, *shape) to logits (B, outputs), or to single values (B,)."""
        values: Tensor = self.layers(rows)
        return values.squeeze(-1) if self.single else values
