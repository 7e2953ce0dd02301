"""Columns of a table as a model's signature says, whatever the values look like."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Manifest
from caveat.models.errors import InputError
from caveat.training.data.columns.column import Column, Doubt, without_missing
from caveat.training.data.columns.decimal import decimals
from caveat.training.data.columns.numeric import as_numbers, clear, figures
from caveat.training.data.files.raw import Table
from caveat.training.data.options import HeldOutOptions
from caveat.training.errors import DataError
from caveat.training.tasks import tasks


class Rows:
    """A table with what its owner says of it."""

    def __init__(self, table: Table, options: HeldOutOptions) -> None:
        self.table = table
        marks = decimals(table, options.decimal)
        if isinstance(marks, Doubt):
            raise DataError(f"{table.path}: column {marks.name!r}: {marks.reason}")
        self._marks = marks
        self._numeric = options.numeric or ()
        for name in self._numeric:
            self.column(name)

    def column(self, name: str) -> Column:
        """Give a column.

        Raises
        ------
        DataError
            If there is none.
        """
        if name not in self.table.columns:
            listed = ", ".join(self.table.columns)
            raise DataError(f"{self.table.path}: no column {name!r}; it has {listed}")
        return Column(name, self.table.columns[name], decimal=self._marks.get(name, "."))

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Give a column as numbers, NaN where a value is missing.

        Raises
        ------
        DataError
            Naming the first value that is no number.
        """
        known = without_missing(self.table.columns[name])
        column = Column(name, known, decimal=self._marks.get(name, "."))
        if not len(known.drop_nulls()):
            return np.full(len(known), np.nan)
        found = figures(column)
        if name in self._numeric:
            read = as_numbers(column, found)
            if isinstance(read, Doubt):
                raise DataError(f"{self.table.path}: column {name!r}: {read.reason}")
            return read.values
        odd = np.flatnonzero(~clear(column, found) & known.is_not_null().to_numpy())
        if len(odd):
            raise DataError(
                f"{self.table.place(int(odd[0]), name)}: expected a number, got {known[int(odd[0])]!r}; "
                f"--numeric {name} takes what is no number for missing"
            )
        return found.values


def read_features(
    rows: Rows, features: Sequence[Feature], known: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Read the features of a model, shape (rows, features).

    Parameters
    ----------
    rows, features
        The table, and the features.
    known
        Rows to read, unless all are.

    Raises
    ------
    DataError
        Naming the first value that does not fit.
    """
    for feature in features:
        rows.column(feature.name)
    every = np.ones(len(rows.table), np.bool_) if known is None else known
    numbers = np.flatnonzero(every)
    return np.stack([_feature(rows, feature, numbers) for feature in features], axis=1)


def _feature(rows: Rows, feature: Feature, numbers: NDArray[np.intp]) -> NDArray[np.float64]:
    if feature.categories is None and feature.dates is None:
        values = rows.numbers(feature.name)[numbers]
        missing = np.flatnonzero(np.isnan(values))
        if len(missing) and not feature.missing:
            raise DataError(
                f"{rows.table.place(int(numbers[missing[0]]), feature.name)}: is missing, as in training no "
                "value was; fill it in, or leave the row out"
            )
        return values
    texts = rows.column(feature.name).values.gather(numbers)
    try:
        return feature.values(texts.to_list(), lambda row: rows.table.place(int(numbers[row]), feature.name))
    except InputError as error:
        raise DataError(_in_the_file(error, rows.table, numbers)) from None


def _in_the_file(error: InputError, table: Table, numbers: NDArray[np.intp]) -> str:
    """Name rows as the file numbers them."""
    at = [int(table.numbers[numbers[row]]) for row in error.rows]
    others = f"; {len(at)} {table.unit}s do not fit: {', '.join(map(str, at[:10]))}" if len(at) > 1 else ""
    more = f" and {len(at) - 10} more" if len(at) > 10 else ""
    return f"{error.where}: expected {error.expected}, got {error.got}{others}{more}"


def read_truths(rows: Rows, manifest: Manifest) -> tuple[NDArray[Any] | None, NDArray[np.bool_] | None]:
    """Read the truths for a model and which rows have them; None if the table has no columns of them."""
    task = tasks.of(manifest)
    targets = [name or "" for name in task.targets(manifest)]
    if not set(targets) <= set(rows.table.columns):
        return None, None
    columns = [without_missing(rows.table.columns[name]) for name in targets]
    known = np.logical_and.reduce([column.is_not_null().to_numpy() for column in columns])
    if manifest.classes is None:
        values = [rows.numbers(name) for name in targets]
        known &= np.logical_and.reduce([~np.isnan(of) for of in values])
        each = [of[known] for of in values]
        return (np.stack(each, axis=1) if len(each) > 1 else each[0]), known
    (labels,) = (column.filter(pl.Series(known)) for column in columns)
    if labels.dtype == pl.String:
        return np.array(labels.to_list(), np.str_), known
    return labels.to_numpy(), known
