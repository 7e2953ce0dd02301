"""Rows as JSON objects: one a line, or a list of them."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from caveat.training.data.files.raw import Table, is_text, tidy_names
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
    named = tidy_names(names, path)
    columns, unreadable = {}, {}
    for name, tidied in zip(names, named.each, strict=True):
        values = [row.get(name) for _, row in rows]
        nested = next((value for value in values if isinstance(value, list | dict)), None)
        if nested is not None:
            unreadable[tidied] = "lists" if isinstance(nested, list) else "objects"
            values = [None] * len(values)
        for value, (number, _) in zip(values, rows, strict=True):
            if isinstance(value, str) and not is_text(value):
                raise DataError(
                    f"{path}: {unit} {number}: {tidied!r} has half of a character: {ascii(value)[:40]}"
                )
        columns[tidied] = pl.Series(values=list(map(_text, values)), dtype=pl.String)
    numbers = np.array([number for number, _ in rows])
    return Table(path, columns, numbers, unit, nameless=named.made, unreadable=unreadable, notes=named.notes)


def _of_lines(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", error)
                raise DataError(f"{path}: line {number} is no JSON: {reason}") from None
            yield number, _object(row, f"{path}: line {number}")


def _of_list(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "; a file with an object in each line is called .jsonl" if "Extra data" in str(error) else ""
        raise DataError(f"{path}: is no JSON: {error}{hint}") from None
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


def _text(value: Any) -> str | None:
    """Write a value as text, whole numbers without a fraction."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    return json.dumps(value)


def _kind(value: Any) -> str:
    kinds = {list: "a list", dict: "an object", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
