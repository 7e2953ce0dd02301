"""Targets that are labels of classes, as far as their values tell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_INFERRED_CLASSES = 20
"""Most different whole numbers that are taken for classes; more make a regression."""


def are_labels(values: NDArray[Any]) -> bool:
    """Tell whether values of a target (B,) name classes: text, booleans and a few whole numbers do.

    >>> are_labels(np.array(["cat", "dog"])), are_labels(np.array([0, 1, 1]))
    (True, True)
    >>> are_labels(np.array([0.5, 1.0])), are_labels(np.arange(1000))
    (False, False)
    """
    if values.dtype.kind in "Ub":
        return True
    distinct = np.unique(values)
    return len(distinct) <= MAX_INFERRED_CLASSES and bool((distinct == np.floor(distinct)).all())
