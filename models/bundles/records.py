"""Rows of JSON objects as the array that the graphs take."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.models.bundles.words import describe, shortened
from caveat.models.errors import InputError

LARGEST: Final = 2**63 - 1
"""The greatest integer that an input of int64 takes. The least is its negative: one less has no positive
counterpart, and is what a processor makes of numbers that are no integers."""


def encode_features(
    rows: Sequence[Any], features: Sequence[Feature], dtype: str, where: str, first: int = 0
) -> NDArray[Any]:
    """Turn rows of JSON objects into the array that the graphs take, shape (B, features).

    ``where`` names the rows in an error, and ``first`` is the number of the first of them.

    Raises
    ------
    InputError
        Naming the first row and field that does not fit; for categories all rows with unknown ones, in any
        field.
    """
    names = [feature.name for feature in features]
    fields = set(names)
    for index, row in enumerate(rows, first):
        if not isinstance(row, dict):
            expected = f"an object with the fields {', '.join(names)}"
            raise InputError(f"{where}[{index}]", expected, describe(row))
        if row.keys() != fields:
            raise _wrong_fields(row, features, f"{where}[{index}]")
    array = np.empty((len(rows), len(features)), dtype)
    unknown: list[InputError] = []
    for column, feature in enumerate(features):
        try:
            with np.errstate(over="ignore"):
                place_of = partial(_place, where, feature.name, first)
                values = feature.values([row[feature.name] for row in rows], place_of)
                if dtype == "int64":
                    _check_integers(values, place_of)
                array[:, column] = values
        except InputError as error:
            if not error.rows:
                raise
            unknown.append(error.with_traceback(None))  # which would hold the rows in a cycle
    if unknown:
        raise of_all(unknown, first)
    infinite = np.argwhere(np.isinf(array))
    if len(infinite):
        index, column = (int(i) for i in infinite[0])
        place, value = _place(where, names[column], first, index), rows[index][names[column]]
        raise InputError(place, f"a finite number that {dtype} can hold", str(value))
    return array


def _check_integers(values: NDArray[np.float64], where: Callable[[int], str]) -> None:
    unfit = np.flatnonzero((values != np.floor(values)) | (abs(values) >= 2.0**63))
    if len(unfit):
        row = int(unfit[0])
        raise InputError(where(row), f"an integer from {-LARGEST} to {LARGEST}", str(values[row]))


def _place(where: str, name: str, first: int, row: int) -> str:
    return f"{where}[{first + row}].{name}"


def of_all(errors: Sequence[InputError], first: int = 0) -> InputError:
    """Name the rows of several errors in the first of them, counted from ``first``."""
    one = errors[0]
    rows = sorted({first + row for error in errors for row in error.rows})
    return InputError(one.where, one.expected, one.got, rows)


def _wrong_fields(row: dict[str, Any], features: Sequence[Feature], where: str) -> InputError:
    for feature in features:
        if feature.name not in row:
            expected = "a value, or null" if feature.missing else "a value"
            return InputError(f"{where}.{feature.name}", expected, "nothing")
    names = [feature.name for feature in features]
    unknown = next(name for name in row if name not in names)
    return InputError(f"{where}.{shortened(unknown)}", f"only the fields {', '.join(names)}", "this one too")
