"""A column to predict: numbers, or names of classes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.training.data.columns.categorical import merged, texts_of
from caveat.training.data.columns.column import Column, Doubt, Read
from caveat.training.data.columns.dated import doubted
from caveat.training.data.columns.figures import figures
from caveat.training.data.columns.numeric import as_numbers, by_content
from caveat.training.data.columns.read import Statement, is_padded
from caveat.training.tasks.labels import are_labels


@dataclass(frozen=True)
class Target:
    """A target that is read.

    Parameters
    ----------
    name
        Name of the column.
    values
        Numbers, whole ones as int64, or names of classes, shape (B,).
    known
        Which rows have a value, shape (B,).
    notes
        What a person should know of how it was read.
    unit
        What stands around its numbers.
    """

    name: str
    values: NDArray[Any]
    known: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    unit: str | None = None


def read_target(column: Column, stated: Statement, *, classes: bool) -> Target | Doubt:
    """Read a target.

    Parameters
    ----------
    column
        The column, which has values.
    stated
        What its owner says of it.
    classes
        Whether its owner wants a classification, for which any texts will do.
    """
    dates = Doubt(column.name, "holds dates, which can't be predicted; write them as numbers", None)
    if stated.kind == "dates" or column.dated:
        return dates
    if stated.kind == "categorical" or is_padded(column):
        return _named(column, stated)
    found = figures(column)
    if stated.kind == "numeric":
        return _numbers(column, as_numbers(column, found))
    if classes and column.textual and not found.numbers.all(where=column.values.is_not_null().to_numpy()):
        return _named(column, stated)
    if (not found.numbers.all() or found.used) and doubted(column):
        return dates
    read = by_content(column, found, exact=False)
    if read is None or (
        isinstance(read, Read) and read.feature.unit and are_labels(read.values[found.numbers])
    ):
        return _named(column, stated)  # a class is called 10 %, not 10
    return _numbers(column, read)


def _numbers(column: Column, read: Read | Doubt) -> Target | Doubt:
    if isinstance(read, Doubt):
        return replace(read, option=None if read.option == "drop" else read.option)
    known = ~np.isnan(read.values)
    whole = _whole(column, read.values, known)
    if whole is None and np.abs(read.values[known]).max() >= 2.0**63 and not column.values.dtype.is_float():
        return _named(column, Statement())  # whole numbers beyond int64 can be names alone
    # What was told of a column of features does not hold for one that is to be predicted.
    notes = read.notes if known.sum() < len(column.known) else ()
    return Target(column.name, read.values if whole is None else whole, known, notes, read.feature.unit)


def _whole(column: Column, values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Give whole numbers to their last digit; None if there are others."""
    if (values[known] != np.floor(values[known])).any():
        return None
    if np.abs(values[known]).max() < 2.0**53:
        return np.where(known, values, 0).astype(np.int64)
    texts = column.values.cast(pl.String).str.strip_chars()
    exact = texts.cast(pl.Int64, strict=False)
    if exact.null_count() > (~known).sum():
        return None
    return exact.fill_null(0).to_numpy()


def _named(column: Column, stated: Statement) -> Target:
    texts = texts_of(column.values)
    name, notes = merged(texts, stated.kind == "categorical")
    named = texts.replace_strict(dict(name), return_dtype=pl.String)
    known = texts.is_not_null().to_numpy()
    values = np.array(named.fill_null("").to_list(), np.str_)
    return Target(column.name, values, known, tuple(f"{column.name!r}: {note}" for note in notes))
