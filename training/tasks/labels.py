"""Targets that are labels of classes: whether they are, and which class each of them names."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.training.errors import DataError
from caveat.training.vocabulary import Labels

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


def name_of_class(value: Any) -> str:
    """Write a label as the name of a class.

    >>> name_of_class(3.0), name_of_class(True), name_of_class("3.0")
    ('3', 'true', '3.0')
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def indices_of(
    values: NDArray[Any], classes: Sequence[str], where: str, labels: Labels | None
) -> NDArray[np.int64]:
    """Find the index of each label, which is the name of a class, or an index already.

    Parameters
    ----------
    values
        Numbers, booleans or text, shape (B,).
    classes
        Names of the classes.
    where
        Name of the labels in an error.
    labels
        What whole numbers stand for, if the owner says so. Unless they say so, numbers that may be both are
        refused; where a class has a number for its name, so are those that may be indices alone.

    Raises
    ------
    DataError
        If labels are neither, or may be both.

    Examples
    --------
    >>> indices_of(np.array([1, 3, 2]), ("1", "2", "3"), "y", None)
    array([0, 2, 1])
    >>> indices_of(np.array([1, 2]), ("1", "2", "3"), "y", None)
    Traceback (most recent call last):
    caveat.training.errors.DataError: y holds 1, 2, which are names of classes (1, 2, 3) and may be indices \
from 0 on as well: say --labels names or --labels indices
    """
    different, place = np.unique(values, return_inverse=True)
    named = _by_name(different.tolist(), classes)
    indices = _by_index(different.tolist(), len(classes))
    known, possible = None not in named, None not in indices
    if labels == "names" or (labels is None and known and (not possible or named == indices)):
        chosen = named
    elif labels == "indices" or (possible and not known and not _numbered(classes)):
        chosen = indices
    elif known:
        raise DataError(
            f"{where} holds {_listed(different)}, which are names of classes ({_listed(classes)}) and may be "
            "indices from 0 on as well: say --labels names or --labels indices"
        )
    else:
        chosen = named
    unknown = [value for value, index in zip(different.tolist(), chosen, strict=True) if index is None]
    if unknown:
        expected = f"expected an index from 0 to {len(classes) - 1}"
        if chosen is named:
            expected = f"the classes are {_listed(classes)}"
            expected += "; if they are indices from 0 on, say --labels indices" * possible
        raise DataError(f"{where} holds {_listed(unknown)}; {expected}")
    return np.array(chosen, np.int64)[place]


def _by_name(labels: Sequence[Any], classes: Sequence[str]) -> list[int | None]:
    """Find the class of each name, as the service finds a category."""
    names = Feature(name="class", categories=tuple(classes))
    found = [names.number(label) for label in labels]
    return [None if code is None else int(code) for code in found]


def _by_index(labels: Sequence[Any], count: int) -> list[int | None]:
    return [index if index is not None and 0 <= index < count else None for index in map(_whole, labels)]


def _whole(label: Any) -> int | None:
    """Read a label as a whole number."""
    if isinstance(label, str):
        return int(label) if label.isascii() and label.isdigit() and str(int(label)) == label else None
    if isinstance(label, bool) or label != label // 1:
        return None
    return int(label)


def _numbered(classes: Sequence[str]) -> bool:
    return any(_is_number(name) for name in classes)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _listed(values: Sequence[Any] | NDArray[Any]) -> str:
    return ", ".join(map(str, values[:3])) + (", ..." if len(values) > 3 else "")
