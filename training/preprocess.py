"""From raw rows to what the network takes, as a module that ends up inside the exported graphs."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models.bundles.signature import Input


class Standardise(nn.Module):
    """``(x - mean) / scale``, computed in the precision of ``mean`` and given in float32.

    Parameters
    ----------
    mean, scale
        Any shape that a row's broadcasts with.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, ...) to rows of the same shape."""
        return ((rows - self.mean) / self.scale).float()


class Encode(nn.Module):
    """Columns of numbers standardised, columns of category codes one-hot, side by side.

    Parameters
    ----------
    numeric
        Indices of the numeric columns.
    standardise
        What to do with these.
    categorical
        Index of each categorical column, and how many categories it has.
    """

    numeric: Tensor
    column: Tensor
    code: Tensor

    def __init__(self, numeric: list[int], standardise: Standardise, categorical: dict[int, int]) -> None:
        super().__init__()
        hot = [(column, code) for column, size in categorical.items() for code in range(size)]
        self.standardise = standardise
        self.register_buffer("numeric", torch.tensor(numeric, dtype=torch.int64))
        self.register_buffer("column", torch.tensor([column for column, _ in hot]))
        self.register_buffer("code", torch.tensor([code for _, code in hot], dtype=torch.float64))

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, columns) to rows (B, numeric columns + categories)."""
        numbers = self.standardise(rows.index_select(1, self.numeric))
        categories = rows.index_select(1, self.column) == self.code
        return torch.cat([numbers, categories.float()], dim=1)


def preprocess(spec: Input, x: NDArray[Any], *, sequences: bool = False) -> nn.Module:
    """Fit the preprocessing of an input on training rows.

    Numbers are standardised: each feature of a vector or a sequence by its own mean and standard
    deviation, that of a sequence over all of its steps; other rows of higher rank, such as images, by
    one mean and one standard deviation of all their values. Categories become one-hot.

    Parameters
    ----------
    spec
        The input's signature.
    x
        Its training rows, shape (B, ...).
    sequences
        Whether the rows are sequences, (length, features).
    """
    categorical = {i: len(f.categories) for i, f in enumerate(spec.features or ()) if f.categories}
    if not categorical:
        return _standardise(x.reshape(-1, x.shape[-1]) if sequences else x)
    numeric = [i for i in range(x.shape[1]) if i not in categorical]
    return Encode(numeric, _standardise(x[:, numeric]), categorical)


def _standardise(x: NDArray[Any]) -> Standardise:
    axes = 0 if x.ndim == 2 else None
    mean = x.mean(axis=axes, dtype=np.float64)
    deviation = x.std(axis=axes, dtype=np.float64)
    # What never varies has a deviation of rounding errors at most, and must not be divided by it.
    scale = np.where(x.max(axis=axes) > x.min(axis=axes), deviation, 1.0)
    return Standardise(*(torch.from_numpy(np.asarray(value, x.dtype)) for value in (mean, scale)))
