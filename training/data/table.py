"""Tables: CSV and Parquet files with one named column per feature."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import ROWS, Input
from caveat.training.data.dataset import Dataset
from caveat.training.data.target import encode_target, infer_task
from caveat.training.errors import DataError
from caveat.training.vocabulary import Task

MAX_CATEGORIES = 1000
"""Most categories of a column, each of which becomes an input of the network."""

MISSING = ("", "na", "n/a", "nan", "null", "?")
"""Spellings of a missing value, in lower case."""

NEARLY_ALL = 0.95
"""Fraction of numbers from which on a column of text counts as numbers with mistakes, not as categories."""


def read_table(path: Path, target: tuple[str, ...] | None, task: Task | None) -> Dataset:
    """Read a table, with one or several columns as targets and all other columns as features.

    Columns of numbers stay numbers; text and booleans become categories.

    Raises
    ------
    DataError
        If the file can't be read, has no column for a target, or has a column with missing or infinite
        values or of another type.
    """
    frame = read_frame(path)
    listed = ", ".join(frame.columns)
    if target is None:
        raise DataError(f"{path}: say which column to predict with --target; it has {listed}")
    for name, count in Counter(target).items():
        if name not in frame.columns:
            raise DataError(f"{path}: no column {name!r} to predict; it has {listed}")
        if count > 1:
            raise DataError(f"{path}: --target names {name!r} {count} times")
    if frame.is_empty():
        raise DataError(f"{path}: no rows below the header")
    if frame.width == len(target):
        only = f"{target[0]!r} is the only column" if frame.width == 1 else "every column is a target"
        raise DataError(f"{path}: {only}; there is nothing to predict it from")
    columns = {column.name: values_of(column, path) for column in frame}
    targets = {name: columns.pop(name) for name in target}
    task = task or infer_task(_joined(list(targets.values())))
    y, classes = _encode_targets(targets, task, path)
    encoded = [_encode(name, values, path) for name, values in columns.items()]
    return Dataset(
        name=path.stem,
        task=task,
        input=Input(
            name="features",
            dtype="float64",
            shape=(ROWS, len(encoded)),
            features=tuple(feature for feature, _ in encoded),
        ),
        x=np.stack([values for _, values in encoded], axis=1),
        y=y,
        target=target[0] if len(target) == 1 else None,
        targets=target if len(target) > 1 else None,
        classes=classes,
    )


def _encode_targets(
    columns: Mapping[str, NDArray[Any]], task: Task, path: Path
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    each = [encode_target(values, task, f"{path}: column {name!r}") for name, values in columns.items()]
    if len(each) == 1:
        return each[0]
    return encode_target(_joined([y for y, _ in each]), task, f"{path}: {len(each)} columns")


def _joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def read_frame(path: Path) -> pl.DataFrame:
    """Read a CSV or Parquet file; raise DataError if that fails."""
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        _refuse_header(path)
        frame = pl.read_csv(path, infer_schema_length=None, try_parse_dates=True)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from None
    return frame.with_columns(_unpadded(column) for column in frame if column.dtype == pl.String)


def _refuse_header(path: Path) -> None:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        names = next(csv.reader(lines), [])
    if len(names) == 1 and ";" in names[0]:
        raise DataError(f"{path}: the header has semicolons and no commas; separate values by commas")
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise DataError(f"{path}: several columns are called {twice[0]!r}; expected different names")


def _unpadded(column: pl.Series) -> pl.Series:
    """Convert a column of text to numbers if every value is a number, perhaps between blanks."""
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    return column if numbers.null_count() else numbers


def values_of(column: pl.Series, path: Path) -> NDArray[Any]:
    """Give a column's values as numbers, booleans or text; refuse a column with missing values."""
    where = f"{path}: column {column.name!r}"
    if not column.name.strip():
        raise DataError(f"{path}: a column has no name; if it numbers the rows, leave it out of the file")
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    missing = _count_missing(column)
    if missing:
        raise DataError(
            f"{where}: {missing} of {len(column)} values are missing (empty, NA, N/A, nan, null or ?); "
            "fill them in or leave the rows out"
        )
    if column.dtype == pl.Boolean:
        return column.to_numpy()
    if column.dtype == pl.String:
        _refuse_nearly_numbers(column, where)
        return np.array(column.to_list(), np.str_)
    if not column.dtype.is_numeric():
        raise DataError(f"{where}: holds {column.dtype}; expected numbers, text or booleans")
    values = column.cast(pl.Float64).to_numpy()
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise DataError(f"{where}: {infinite} of {len(values)} values are infinite; expected finite numbers")
    return values


def _count_missing(column: pl.Series) -> int:
    if column.dtype == pl.String:
        spelled = column.str.strip_chars().str.to_lowercase().is_in(MISSING)
    elif column.dtype.is_float():
        spelled = column.is_nan()
    else:
        return column.null_count()
    return column.null_count() + int(spelled.sum())


def _refuse_nearly_numbers(column: pl.Series, where: str) -> None:
    """Refuse a column of text that is most likely numbers with a few mistakes."""
    odd = column.filter(column.str.strip_chars().cast(pl.Float64, strict=False).is_null())
    if 0 < len(odd) <= (1 - NEARLY_ALL) * len(column):
        listed = ", ".join(map(repr, odd.unique(maintain_order=True).head(3)))
        raise DataError(
            f"{where}: {len(column) - len(odd)} of {len(column)} values are numbers, but not {listed}; "
            "write numbers there, or leave the rows out"
        )


def _encode(name: str, values: NDArray[Any], path: Path) -> tuple[Feature, NDArray[np.float64]]:
    if values.dtype.kind == "f":
        return Feature(name=name), values
    if values.dtype.kind == "b":
        return Feature(name=name, categories=("false", "true")), values.astype(np.float64)
    categories, codes = np.unique(values, return_inverse=True)
    if len(categories) > min(MAX_CATEGORIES, len(values) - 1):
        raise DataError(
            f"{path}: column {name!r}: {len(categories)} different texts in {len(values)} rows; expected at "
            f"most {MAX_CATEGORIES} categories, some in several rows. Leave the column out of the file"
        )
    return Feature(name=name, categories=tuple(categories.tolist())), codes.astype(np.float64)
