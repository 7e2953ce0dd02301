"""Reads the rows that a client has in a file."""

import csv
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.models.bundles.spelling import is_missing
from caveat.models.errors import CaveatError

Features = Mapping[str, Feature]
"""The features of a model by name."""


def read_rows(path: Path, features: Callable[[], Features]) -> Any:
    """Read rows as JSON holds them, or a whole request.

    Parameters
    ----------
    path
        ``.json``, ``.npy``, ``.npz`` with an array for each of several inputs, or ``.csv`` with the names of
        the features in its first line; ``-`` is JSON on standard input.
    features
        Gives the features of the model; called for a CSV file only.

    Raises
    ------
    CaveatError
        If the file can't be read, or is of another type.
    """
    try:
        return _read(path, features)
    except CaveatError:
        raise
    except (OSError, ValueError) as error:
        raise CaveatError(f"{path}: {error}") from None


def _read(path: Path, features: Callable[[], Features]) -> Any:
    if str(path) == "-":
        return orjson.loads(sys.stdin.buffer.read())
    match path.suffix.lower():
        case ".json":
            return orjson.loads(path.read_bytes())
        case ".npy":
            return _numbers(_load(path)).tolist()
        case ".npz":
            rows = {name: _numbers(array).tolist() for name, array in _load(path).items()}
            return rows if len(rows) > 1 else next(iter(rows.values()), None)
        case ".csv":
            known = features()
            with path.open(newline="", encoding="utf-8-sig") as lines:
                return rows_of(csv.DictReader(lines), known)
        case suffix:
            raise CaveatError(f"{path}: unknown type {suffix!r}; expected .json, .npy, .npz or .csv")


def _load(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"holds {array.dtype}; expected numbers")
    return array


def rows_of(lines: "csv.DictReader[str]", features: Features) -> list[dict[str, str | float | None]]:
    """Turn the lines of a CSV file into rows of a model's features, as JSON holds them.

    Numbers are read here; categories and dates stay text, which the service reads. A missing value is None.

    Examples
    --------
    >>> age, pet = Feature(name="age", missing=True), Feature(name="pet", categories=("cat", "dog"))
    >>> rows_of(csv.DictReader(["age,pet", "61,cat", "NA,dog"]), {"age": age, "pet": pet})
    [{'age': 61.0, 'pet': 'cat'}, {'age': None, 'pet': 'dog'}]
    """
    surplus = [name for name in lines.fieldnames or () if name not in features]
    if surplus:
        raise ValueError(
            f"column {surplus[0]!r} is no feature of the model; leave it out; its features are "
            f"{', '.join(features)}"
        )
    rows = []
    for line in lines:
        if None in line or None in line.values():
            raise ValueError(f"line {lines.line_num} has not as many values as the first line has names")
        try:
            rows.append({name: _value(text, features[name]) for name, text in line.items()})
        except ValueError as error:
            raise ValueError(f"line {lines.line_num}: {error}") from None
    return rows


def _value(text: str, feature: Feature) -> str | float | None:
    if text in (feature.categories or ()):
        return text
    if feature.missing and is_missing(text) and feature.categories is None:
        return None
    if not text.strip():
        if feature.missing:
            return None
        raise ValueError(f"{feature.name} is empty")
    return _number(text, feature.name) if feature.is_number else text


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):  # JSON would hold null, which is a missing value
        raise ValueError(f"{name} is {text!r}; expected a number")
    return number
