"""The preprocessing of raw rows, as a module that becomes part of the exported graphs."""

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
        Mean and scale, of any shape that broadcasts to a row's.
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
    """Standardises columns of numbers, and turns columns of category codes into one-hot columns.

    Parameters
    ----------
    numeric
        Indices of the numeric columns.
    standardise
        Standardisation of the numeric columns.
    categorical
        Number of categories of each categorical column, by its index.
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

    Numbers are standardised. Each feature of a vector or a sequence has its own mean and standard
    deviation, for a sequence over all steps; other rows of higher rank, such as images, have one mean and
    one standard deviation over all values. Categories become one-hot columns.

    Parameters
    ----------
    spec
        The input's signature.
    x
        Training rows, shape (B, ...).
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
    # The deviation of a constant is 0 or a rounding error, which must not be divided by.
    scale = np.where(x.max(axis=axes) > x.min(axis=axes), deviation, 1.0)
    return Standardise(*(torch.from_numpy(np.asarray(value, x.dtype)) for value in (mean, scale)))
