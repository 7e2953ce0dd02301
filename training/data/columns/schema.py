"""Columns of a table as a model's signature says, whatever the values look like."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.spelling import is_missing
from caveat.models.errors import InputError
from caveat.training.data.columns.categorical import texts_of
from caveat.training.data.columns.column import Column, Doubt, flag, without_missing
from caveat.training.data.columns.decimal import decimals
from caveat.training.data.columns.figures import Figures, figures
from caveat.training.data.files.raw import Table
from caveat.training.data.options import HeldOutOptions
from caveat.training.errors import DataError
from caveat.training.tasks import tasks


class Rows:
    """A table with what its owner, and the training of the model, say of its columns."""

    def __init__(self, table: Table, options: HeldOutOptions, manifest: Manifest) -> None:
        self.table = table
        self._options = options
        self._decimals = manifest.provenance.data.get("decimals", {})
        self._units = manifest.provenance.data.get("units", {})
        for name in (*(options.numeric or ()), *(options.dates or ())):
            self.values(name)

    def values(self, name: str) -> pl.Series:
        """Give the values of a column.

        Raises
        ------
        DataError
            If there is no such column, or it holds neither numbers nor text.
        """
        if name not in self.table.columns:
            listed = ", ".join(self.table.columns)
            raise DataError(f"{self.table.path}: no column {name!r}; it has {listed}")
        if name in self.table.unreadable:
            kind = self.table.unreadable[name]
            raise DataError(f"{self.table.path}: column {name!r}: holds {kind}; expected numbers or text")
        return self.table.columns[name]

    def numbers(self, name: str, unit: str | None = None) -> NDArray[np.float64]:
        """Give a column as numbers, NaN where a value is missing.

        Parameters
        ----------
        name
            The column.
        unit
            What stood around its numbers in training, if it is a feature.

        Raises
        ------
        DataError
            Naming the first value that is no number, or one of another unit.
        """
        values = without_missing(self.values(name))
        unit = unit or self._units.get(name)
        if not len(values.drop_nulls()):
            return np.full(len(values), np.nan)
        mark = decimals(self.table, [name], self._options.decimal, self._decimals).get(name, ".")
        if isinstance(mark, Doubt):
            raise DataError(f"{self.table.path}: column {name!r}: {mark.reason}")
        column = Column(name, values, decimal=mark)
        found = figures(column)
        kept = np.isin(found.kinds, _of_unit(found, unit))
        odd = np.flatnonzero(~kept & values.is_not_null().to_numpy())
        if len(odd) and name not in (self._options.numeric or ()):
            row, like = int(odd[0]), f", in {unit}" if unit else ""
            raise DataError(
                f"{self.table.place(row, name)}: expected a number{like}, got {values[row]!r}; "
                f"{flag('numeric', name)} takes what is none for missing"
            )
        return np.where(kept, found.values, np.nan)

    def drops_dates(self, feature: Feature) -> bool:
        """Tell whether what is no date counts as missing."""
        return feature.missing and feature.name in (self._options.dates or ())


def _of_unit(found: Figures, unit: str | None) -> list[int]:
    """List the marks that numbers of a unit may have: none, if all have none, and that of the unit."""
    own = [
        kind
        for kind, mark in enumerate(found.marks)
        if unit and (mark.unit or "").casefold() == unit.casefold()
    ]
    mixed = bool(own) and own[0] in found.kinds and found.marks[own[0]].absolute
    return own if mixed and found.unmarked.any() else [0, *own]


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
    every = np.ones(len(rows.table), np.bool_) if known is None else known
    numbers = np.flatnonzero(every)
    return np.stack([_feature(rows, feature, numbers) for feature in features], axis=1)


def _feature(rows: Rows, feature: Feature, numbers: NDArray[np.intp]) -> NDArray[np.float64]:
    if feature.is_number:
        values = rows.numbers(feature.name, feature.unit)[numbers]
        missing = np.flatnonzero(np.isnan(values))
        if len(missing) and not feature.missing:
            raise DataError(
                f"{rows.table.place(int(numbers[missing[0]]), feature.name)}: is missing, as in training no "
                "value was; fill it in, or leave the row out"
            )
        return values
    texts = texts_of(rows.values(feature.name)).gather(numbers).to_list()
    if feature.dates is not None and rows.drops_dates(feature):
        return np.array([day if (day := feature.number(text)) is not None else np.nan for text in texts])
    try:
        return feature.values(texts, lambda row: rows.table.place(int(numbers[row]), feature.name))
    except InputError as error:
        hint = f"; {flag('dates', feature.name)} takes what is none for missing"
        hint = hint if feature.dates is not None and feature.missing else ""
        raise DataError(_in_the_file(error, rows.table, numbers) + hint) from None


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
    # A class may be called NA or None.
    spelled = not any(is_missing(name) for name in manifest.classes or ())
    columns = [without_missing(rows.values(name), spelled=spelled) for name in targets]
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
