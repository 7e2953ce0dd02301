"""Numbers of mean 0 and standard deviation 1."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


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


def standardise(x: NDArray[Any]) -> Standardise:
    """Fit the standardisation of rows.

    Parameters
    ----------
    x
        Rows, shape (B, columns), each column with its own moments: those of its values that are not missing,
        or 0 and 1 if all are. Rows of another rank have one mean and one deviation over all values.
    """
    if x.ndim == 2 and x.dtype.kind == "f" and np.isnan(x).any():
        moments = [_moments(column[~np.isnan(column)], None) for column in x.T]
        mean, scale = (np.array(values) for values in zip(*moments, strict=True))
    else:
        mean, scale = _moments(x, 0 if x.ndim == 2 else None)
    return Standardise(*(torch.from_numpy(np.asarray(value, x.dtype)) for value in (mean, scale)))


def _moments(x: NDArray[Any], axes: int | None) -> tuple[NDArray[Any], NDArray[Any]]:
    if not x.size:
        return np.zeros(x.shape[1:]), np.ones(x.shape[1:])
    mean = np.asarray(x.mean(axis=axes, dtype=np.float64))
    deviation = x.std(axis=axes, dtype=np.float64)
    # The deviation of a constant is 0 or a rounding error, which must not be divided by.
    return mean, np.where(x.max(axis=axes) > x.min(axis=axes), deviation, 1.0)
