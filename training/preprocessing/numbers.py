"""Columns of numbers, some of which may be missing."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.training.preprocessing.standardise import standardise


class Numbers(nn.Module):
    """Standardises columns of numbers, and marks missing ones, which count as the mean of the known.

    Parameters
    ----------
    columns
        Places of the columns in a row.
    missing
        Places of those among them that may lack values.
    x
        Training rows, shape (B, ...).
    """

    numeric: Tensor
    marked: Tensor

    def __init__(self, columns: Sequence[int], missing: Sequence[int], x: NDArray[Any]) -> None:
        super().__init__()
        self.standardise = standardise(x[:, list(columns)])
        self.register_buffer("numeric", torch.tensor(columns, dtype=torch.int64))
        self.register_buffer("marked", torch.tensor(missing, dtype=torch.int64))

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, columns) to the standardised numbers and then the marks, 1 for a missing value."""
        values = rows.index_select(1, self.numeric)
        if not len(self.marked):
            return self.standardise(values)  # type: ignore[no-any-return]
        known = torch.where(values.isnan(), self.standardise.mean, values)
        marks = rows.index_select(1, self.marked).isnan()
        return torch.cat([self.standardise(known), marks.float()], dim=1)
