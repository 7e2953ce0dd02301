"""Rows with equal keys, such as the same uncertainty, whose order in a file means nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def ordered(keys: NDArray[Any], values: NDArray[Any]) -> Vector:
    """Sort values (B,) by their keys (B,); values of equal keys become their mean.

    A sum over the first rows is then the mean of that sum over all orders of rows with equal keys (McSherry &
    Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores",
    ECIR 2008).

    >>> ordered(np.array([2, 1, 2]), np.array([0.0, 5.0, 1.0]))
    array([5. , 0.5, 0.5])
    """
    _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.repeat(np.bincount(places, values) / counts, counts)


def ranks(keys: NDArray[Any]) -> Vector:
    """Rank keys (B,) from 1; equal keys get the mean of their ranks.

    >>> ranks(np.array([7, 3, 7]))
    array([2.5, 1. , 2.5])
    """
    _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    found: Vector = (counts.cumsum() - (counts - 1) / 2)[places]
    return found
