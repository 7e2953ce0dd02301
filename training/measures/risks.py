"""The risk of the most certain answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def risks(uncertainty: Vector, wrong: NDArray[Any]) -> Vector:
    """Give the mean of ``wrong`` over the most certain row, the two most certain, and so on, shape (B,)."""
    found: Vector = wrong[np.argsort(uncertainty, kind="stable")].cumsum() / np.arange(1, len(wrong) + 1)
    return found


def aurc(uncertainty: Vector, wrong: NDArray[np.bool_]) -> float:
    """Give the area under the curve of risk against coverage.

    >>> round(aurc(np.array([1.0, 2.0, 3.0]), np.array([False, False, True])), 3)
    0.111
    """
    return float(risks(uncertainty, wrong).mean())
