"""Example rows of a bundle: those that a load, a warm-up and the pages of a service try."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.days import day_named
from caveat.models.bundles.example import MAX_VALUES
from caveat.models.bundles.features import OTHER, Feature
from caveat.models.bundles.signature import Input, Inputs

_MIXED = 3  # rows that a made-up row lies between
_ATTEMPTS = 8
_LARGEST_WHOLE = 2**53  # float64 has no fractions from here on


def example(spec: Input, rows: NDArray[Any]) -> list[Any] | None:
    """Write rows as JSON that `Input.encode` reads back; None if a row has more than `MAX_VALUES` values.

    An unknown category has no name left, and is written as the first of the known.

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
    values = rows.tolist() if rows.dtype.kind == "i" else rows.astype(str).astype(np.float64).tolist()
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
        The row, shape (1, ...): of the known values of each named feature the median, of dates to the day,
        or the most frequent category; NaN where there are none. Zeros for an input without named features.

    Examples
    --------
    >>> pet = Feature(name="pet", categories=("cat", "dog"))
    >>> spec = Input(name="x", dtype="float64", shape=("rows", 2), features=(pet, Feature(name="age")))
    >>> typical(spec, np.array([[1, 12.5], [0, 7], [1, 33]]))
    array([[ 1. , 12.5]])
    """
    row = np.zeros_like(rows[:1])
    for column, feature in enumerate(spec.features or ()):
        row[0, column] = _middle(feature, rows[:, column])
    return row


def _middle(feature: Feature, values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    if feature.categories is not None:
        known = known[known != OTHER]
    if not len(known):
        return np.nan if feature.missing else 0.0
    if feature.categories is not None:
        return float(np.bincount(known.astype(np.int64)).argmax())
    middle = float(np.median(known))
    return np.floor(middle) if feature.dates is not None and (np.floor(known) == known).all() else middle


def made_up(inputs: Sequence[Input], rows: Inputs, count: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Make up rows like those of an example, none of which is a row of the example; several attempts at it.

    A made-up row has the gaps of one row of the example: its zeros, such as padding, its missing values, and
    its values where all rows have 0 or 1, such as masks and one-hot codes. The other numbers are a weighted
    mean of those of a few rows with the same gaps, so that positive values stay positive and shares still sum
    to one. Whole numbers lie between the least and the greatest at their place; a category is one of those
    there. What is the same in all rows stays the same.

    Parameters
    ----------
    inputs
        The signature.
    rows
        The example, as the graphs take it.
    count
        Number of rows to make.
    """
    flat = {spec.name: _named(spec, rows[spec.name].reshape(len(rows[spec.name]), -1)) for spec in inputs}
    known = _keys(flat)
    different = _different(flat)
    for attempt in range(_ATTEMPTS):
        # Rows of 0 and 1 alone would be copies, so that later attempts mix these too.
        random, mixing = np.random.default_rng(attempt), attempt >= _ATTEMPTS // 2
        each = [_row(inputs, different, random, mixing) for _ in range(count)]
        made = {spec.name: np.stack([row[spec.name] for row in each]) for spec in inputs}
        # Of a few whole numbers, each choice may be in the example.
        if attempt == _ATTEMPTS - 1 or not set(known) & set(_keys(made)):
            yield {name: array.reshape(count, *rows[name].shape[1:]) for name, array in made.items()}


def _named(spec: Input, rows: NDArray[Any]) -> NDArray[Any]:
    """Put a feature's first category in place of an unknown one."""
    others = [feature.other for feature in spec.features or ()]
    return np.where(others & (rows == OTHER), rows.dtype.type(0), rows) if any(others) else rows


def _keys(flat: Inputs) -> list[bytes]:
    return [b"".join(row.tobytes() for row in each) for each in zip(*flat.values(), strict=True)]


def _different(flat: Inputs) -> dict[str, NDArray[Any]]:
    """Keep one of equal rows, and give a lone row another one to lie between."""
    _, first = np.unique(_keys(flat), return_index=True)
    kept = {name: array[np.sort(first)] for name, array in flat.items()}
    return kept if len(first) > 1 else {name: _beside(array) for name, array in kept.items()}


def _beside(row: NDArray[Any]) -> NDArray[Any]:
    """Add a row of nine tenths of all numbers but 0 and 1; or, of integers, one in the other order."""
    other = row.copy()
    if row.dtype.kind == "i":
        other[row != 0] = row[row != 0][::-1]
    else:
        tenths = 0.9 * row
        other = np.where(np.isin(row, (0, 1)), row, np.where(_whole(row), np.trunc(tenths), tenths))
    return np.concatenate([row, other.astype(row.dtype)])


def _row(
    inputs: Sequence[Input], flat: Inputs, random: np.random.Generator, mixing: bool
) -> dict[str, NDArray[Any]]:
    pattern = int(random.integers(len(next(iter(flat.values())))))
    return {spec.name: _one(spec, flat[spec.name], pattern, random, mixing) for spec in inputs}


def _one(
    spec: Input, rows: NDArray[Any], pattern: int, random: np.random.Generator, mixing: bool
) -> NDArray[Any]:
    own, given = rows[pattern], rows
    # What only other rows lack has no part in a mean, and what this row lacks, it lacks in the end.
    rows = np.nan_to_num(np.where(np.isnan(rows), own, rows), nan=0, posinf=np.inf, neginf=-np.inf)
    switches = np.isin(rows, (0, 1)).all(axis=0)
    categories = np.array([feature.categories is not None for feature in spec.features or ()], bool)
    chosen = (categories if spec.features else np.zeros_like(switches)) | (switches & mixing)
    alike = ((rows == 0) == (rows[pattern] == 0))[:, ~switches].all(axis=1)
    partners = rows[alike] if alike.sum() > 1 else rows
    made = np.where(_whole(rows), _between(partners, rows[pattern], random), _mean(partners, random))
    made = np.clip(made, rows.min(axis=0), rows.max(axis=0))
    made = np.where((own == 0) | np.isnan(own) | switches, own, made)
    return np.where(chosen, random.permuted(given, axis=0)[0], made).astype(rows.dtype)


def _whole(rows: NDArray[Any]) -> NDArray[np.bool]:
    """Find the places where all rows have whole numbers, that is of integers rather than of measures."""
    if rows.dtype.kind == "i":
        return np.ones(rows.shape[1:], bool)
    whole: NDArray[np.bool] = ((rows == np.round(rows)) & (np.abs(rows) < _LARGEST_WHOLE)).all(axis=0)
    return whole


def _mean(rows: NDArray[Any], random: np.random.Generator) -> NDArray[np.floating]:
    """Weigh a few rows, and round the mean to few digits, but finer than the rows differ."""
    few = rows[random.permutation(len(rows))[:_MIXED]].astype(np.float64)
    mean: NDArray[np.floating] = random.dirichlet(np.ones(len(few))) @ few
    digits = np.maximum(2 - _magnitude(mean), 1 - _magnitude(np.ptp(few, axis=0))).clip(-300, 300)
    rounded: NDArray[np.floating] = np.round(mean * 10.0**digits) / 10.0**digits
    rounded[~np.isfinite(rounded)] = mean[~np.isfinite(rounded)]
    return rounded


def _magnitude(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Give the power of ten of each value; that of 0 is huge, and asks for no digits."""
    powers: NDArray[np.floating] = np.full_like(values, 400.0)
    np.log10(np.abs(values), where=values != 0, out=powers)
    return powers // 1


def _between(rows: NDArray[Any], own: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    """Draw whole numbers between the least and the greatest of those that are not gaps."""
    values = np.where(rows == 0, own, rows).clip(-_LARGEST_WHOLE, _LARGEST_WHOLE).astype(np.int64)
    drawn: NDArray[Any] = random.integers(values.min(axis=0), values.max(axis=0), endpoint=True)
    return drawn


def _value(feature: Feature, value: float) -> Any:
    if np.isnan(value):
        return None
    if feature.dates is not None:
        return day_named(value)
    return _plain(value) if feature.categories is None else feature.categories[max(int(value), 0)]


def _plain(value: Any) -> Any:
    """Turn whole numbers into integers, also in nested lists."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if float(value).is_integer() else value
