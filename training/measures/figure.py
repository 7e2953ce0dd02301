"""A measured number with its standard error over the choice of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_RESAMPLES: Final = 50


@dataclass(frozen=True)
class Figure:
    """A value with its standard error over the choice of rows, which is NaN where they do not tell it."""

    value: float
    error: float


def averaged(values: NDArray[Any]) -> Figure:
    """Average one number per row, shape (B,).

    >>> averaged(np.array([1.0, 3.0]))
    Figure(value=2.0, error=1.0)
    """
    exact = values.astype(np.float64)
    error = exact.std(ddof=1) / np.sqrt(len(exact)) if len(exact) > 1 else np.nan
    return Figure(float(exact.mean()), float(error))


def resampled(measure: Callable[..., float], *arrays: NDArray[Any]) -> Figure:
    """Compute a measure that is not a mean over rows, with its error over resamples of the rows.

    The error is that of the bootstrap (Efron, "Bootstrap methods: another look at the jackknife", 1979),
    with the same resamples for all measures of the same number of rows.

    Parameters
    ----------
    measure
        Function of the arrays; NaN where it is not defined on the resampled rows.
    arrays
        Arrays whose first axis is the row.
    """
    count = len(arrays[0])
    generator = np.random.default_rng(0)
    found = []
    for _ in range(_RESAMPLES):
        rows = generator.integers(count, size=count)
        found.append(measure(*(array[rows] for array in arrays)))
    known = [value for value in found if not np.isnan(value)]
    error = float(np.std(known, ddof=1)) if count > 1 and len(known) > 1 else float("nan")
    return Figure(float(measure(*arrays)), error)
