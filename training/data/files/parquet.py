"""Parquet files."""

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from caveat.training.data.files.raw import Table, tidy_names
from caveat.training.errors import DataError

_DATED: Final = {
    pl.Date: "%Y-%m-%d",
    pl.Datetime: "%Y-%m-%dT%H:%M:%S%.f",
    pl.Time: "%H:%M:%S%.f",
}


def read_parquet(path: Path) -> Table:
    """Read a Parquet file; booleans, dates and times become texts.

    Raises
    ------
    DataError
        If the file can't be read.
    """
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from None
    if frame.is_empty():
        raise DataError(f"{path}: no rows")
    named = tidy_names(frame.columns, path)
    columns, unreadable = {}, {}
    for name, column in zip(named.each, frame, strict=True):
        readable = _readable(column)
        if readable is None:
            unreadable[name] = str(column.dtype)
            readable = pl.Series(values=[None] * len(frame), dtype=pl.String)
        columns[name] = readable
    dated = frozenset(
        name for name, column in zip(named.each, frame, strict=True) if type(column.dtype) in _DATED
    )
    numbers = np.arange(1, len(frame) + 1)
    return Table(
        path, columns, numbers, "row", dated, nameless=named.made, unreadable=unreadable, notes=named.notes
    )


def _readable(column: pl.Series) -> pl.Series | None:
    """Give a column as text or numbers, null where a value is missing; None if it holds neither."""
    kind = column.dtype
    if kind in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return column.cast(pl.String)
    if kind == pl.Boolean:
        return column.cast(pl.String)
    if form := _DATED.get(type(kind)):
        if not _in_calendar(column):
            return None
        if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.dt.to_string(form)
    if kind.is_float():
        return column.cast(pl.Float64).fill_nan(None)
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.Float64 if kind.scale else pl.String)
    return column if kind.is_integer() else None


def _in_calendar(column: pl.Series) -> bool:
    """Tell whether dates lie in the years 1 to 9999, beyond which Polars can't write them."""
    kind = column.dtype
    days = (
        1
        if kind == pl.Date
        else 86_400 * {"ms": 10**3, "us": 10**6, "ns": 10**9}[getattr(kind, "time_unit", None) or "ns"]
    )
    numbers = column.to_physical().drop_nulls().to_numpy()
    return bool(((numbers >= -719_162 * days) & (numbers < 2_932_897 * days)).all())
