"""Example rows as a client writes them, for pages that show a request."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Feature, Input

MAX_VALUES = 1000
"""Most values of a row in an example; longer rows are not readable."""


def example(spec: Input, rows: NDArray[Any]) -> list[Any] | None:
    """Write rows as JSON that `Input.encode` reads back; None if a row has more than `MAX_VALUES` values.

    Parameters
    ----------
    spec
        The input's signature.
    rows
        Rows as the graphs take them, shape (B, ...).

    Examples
    --------
    >>> pet = Feature(name="pet", categories=("cat", "dog"))
    >>> spec = Input(name="x", dtype="float64", shape=("rows", 2), features=(pet, Feature(name="age")))
    >>> example(spec, np.array([[1, 0.5], [0, 12]]))
    [{'pet': 'dog', 'age': 0.5}, {'pet': 'cat', 'age': 12}]
    """
    if rows[0].size > MAX_VALUES:
        return None
    # Converted to text first, a float32 keeps its shortest digits: 0.1 instead of 0.10000000149.
    values = rows.astype(str).astype(np.float64).tolist()
    if spec.features is None:
        return [_plain(row) for row in values]
    return [
        {feature.name: _value(feature, value) for feature, value in zip(spec.features, row, strict=True)}
        for row in values
    ]


def typical(spec: Input, rows: NDArray[Any]) -> NDArray[Any]:
    """Make one typical row, which is not a copy of any row.

    Parameters
    ----------
    spec
        The input's signature.
    rows
        Rows as the graphs take them, shape (B, ...).

    Returns
    -------
    NDArray
        The row, shape (1, ...): the median of each named feature, or its most frequent category; zeros for
        an input without named features.

    Examples
    --------
    >>> pet = Feature(name="pet", categories=("cat", "dog"))
    >>> spec = Input(name="x", dtype="float64", shape=("rows", 2), features=(pet, Feature(name="age")))
    >>> typical(spec, np.array([[1, 12.5], [0, 7], [1, 33]]))
    array([[ 1. , 12.5]])
    """
    row = np.zeros_like(rows[:1])
    for column, feature in enumerate(spec.features or ()):
        values = rows[:, column]
        if feature.categories is None:
            row[0, column] = np.median(values)
        else:
            row[0, column] = np.bincount(values.astype(np.int64)).argmax()
    return row


def _value(feature: Feature, value: float) -> Any:
    return _plain(value) if feature.categories is None else feature.categories[int(value)]


def _plain(value: Any) -> Any:
    """Turn whole numbers into integers, also in nested lists."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if value.is_integer() else value
