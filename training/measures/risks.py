"""The risk of the most certain answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.training.measures.ties import ordered

Vector = NDArray[np.float64]


def risks(uncertainty: Vector, wrong: NDArray[Any]) -> Vector:
    """Give the mean of ``wrong`` over the most certain row, the two most certain, and so on, shape (B,).

    Of rows with equal uncertainties, any may be the more certain: each risk is the mean over their orders.
    """
    found: Vector = ordered(uncertainty, wrong).cumsum() / np.arange(1, len(wrong) + 1)
    return found


def aurc(uncertainty: Vector, wrong: NDArray[np.bool_]) -> float:
    """Give the area under the curve of risk against coverage; see `risks` for equal uncertainties.

    >>> round(aurc(np.array([1.0, 2.0, 3.0]), np.array([False, False, True])), 3)
    0.111
    """
    return float(risks(uncertainty, wrong).mean())
