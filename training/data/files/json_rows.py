"""Rows as JSON objects: one a line, or a list of them."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from caveat.training.data.files.raw import Table, tidy_names
from caveat.training.data.files.texts import kind_of, opened
from caveat.training.data.options import FileOptions
from caveat.training.errors import DataError

LINES: Final = (".jsonl", ".ndjson")


def read_json(path: Path, options: FileOptions) -> Table:
    """Read JSON objects, of which each is a row; a field that a row lacks is missing there.

    Raises
    ------
    DataError
        Naming the line or row that is no object of single values.
    """
    lines = kind_of(path) in LINES
    unit = "line" if lines else "row"
    with opened(path, options.encoding) as text:
        rows = list(_of_lines(path, text) if lines else _of_list(path, text.read()))
    if not rows:
        raise DataError(f"{path}: no rows")
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    if not names:
        raise DataError(f"{path}: the rows have no fields")
    tidied, notes = tidy_names(names, path)
    columns = {
        tidied_name: pl.Series(
            values=[_text(row.get(name), f"{path}: {unit} {number}: {name!r}") for number, row in rows],
            dtype=pl.String,
        )
        for name, tidied_name in zip(names, tidied, strict=True)
    }
    return Table(path, columns, np.array([number for number, _ in rows]), unit, notes=tuple(notes))


def _of_lines(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is no JSON: {error}") from None
            yield number, _object(row, f"{path}: line {number}")


def _of_list(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON: {error}") from None
    if not isinstance(rows, list):
        raise DataError(
            f"{path}: holds {_kind(rows)}; expected a list of objects, one for each row (of a pandas frame: "
            'to_json(orient="records"))'
        )
    for number, row in enumerate(rows, start=1):
        yield number, _object(row, f"{path}: row {number}")


def _object(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{where} is {_kind(row)}; expected an object with a value for each column")
    return row


def _text(value: Any, where: str) -> str | None:
    """Write a value as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, list | dict):
        raise DataError(f"{where} is {_kind(value)}; expected a text, a number, true, false or null")
    return value if isinstance(value, str) else json.dumps(value)


def _kind(value: Any) -> str:
    kinds = {list: "a list", dict: "an object", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
