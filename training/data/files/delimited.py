"""Text with a separator between values: CSV, TSV, and their kin."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
import polars as pl

from caveat.training.data.files.raw import Table, tidy_names
from caveat.training.data.files.texts import kind_of, opened
from caveat.training.data.options import FileOptions
from caveat.training.data.words import counted
from caveat.training.errors import DataError

_SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|"}

_NAMED: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|"}

_STATEMENT: Final = re.compile(r"(?:\ufeff)?sep=.?", re.IGNORECASE)
"""A first line by which Excel tells the separator."""

_TRIED: Final = 100  # lines by which a separator is found

_CHUNK: Final = 20_000  # rows that are held as Python's texts at once


def read_delimited(path: Path, options: FileOptions) -> Table:
    """Read text with a separator between values, and the names of the columns in its first line.

    Raises
    ------
    DataError
        Naming the line, if it has another number of values than the header, or can't be read.
    """
    separator = _separator(path, options)
    with opened(path, options.encoding) as text:
        records = _records(path, text, separator)
        try:
            _, header = next(records)
        except StopIteration:
            raise DataError(f"{path}: empty; expected a line with the names of the columns") from None
        named = tidy_names(header, path)
        names = named.each
        chunks: list[list[pl.Series]] = []
        numbers: list[int] = []
        while rows := list(islice(records, _CHUNK)):
            for number, row in rows:
                if row == header:
                    raise DataError(f"{path}: line {number} repeats the header; leave it out of the file")
                if len(row) != len(names):
                    raise DataError(
                        f"{path}: line {number} has {counted(len(row), 'value')}, the header has {len(names)}"
                        + _hint(header, row, separator)
                    )
            numbers.extend(number for number, _ in rows)
            columns = zip(*(row for _, row in rows), strict=True)
            chunks.append([pl.Series(values=list(column), dtype=pl.String) for column in columns])
    if not chunks:
        raise DataError(f"{path}: no rows below the header")
    each = {name: pl.concat([chunk[k] for chunk in chunks]) for k, name in enumerate(names)}
    return Table(path, each, np.array(numbers), nameless=named.made, separator=separator, notes=named.notes)


def _records(path: Path, text: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty lines, each with the number of its first line."""
    records: Any = csv.reader(text, delimiter=separator, strict=True, skipinitialspace=separator != "\t")
    begun = 1
    try:
        for record in records:
            if record and not (begun == 1 and _STATEMENT.fullmatch(record[0])):
                yield begun, record
            begun = records.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {begun}: {_in_words(str(error))}") from None


def _in_words(error: str) -> str:
    if "unexpected end of data" in error:
        return "a quote is opened and never closed"
    if "expected after" in error:
        return 'a quote closes inside of a value; write quotes inside of quotes twice, as ""'
    if "field limit" in error:
        return f"has a value of more than {csv.field_size_limit():,} characters; a quote may not be closed"
    return error


def _hint(header: list[str], row: list[str], separator: str) -> str:
    if len(header) == 1 and len(row) > 1:
        return "; the header is the first line of the file, without a title or comments above it"
    if len(row) == len(header) + 1:
        return (
            "; if the first column numbers or names the rows, name it in the header; if a value has a "
            f"{_SEPARATORS.get(separator, repr(separator))} in it, put it in quotes"
        )
    return "; put a value in quotes that has the separator or a line break in it"


def _separator(path: Path, options: FileOptions) -> str:
    """Find the separator by which the first lines have equally many values."""
    if options.separator is not None:
        given = _NAMED.get(options.separator, options.separator)
        if len(given) != 1 or given in '"\r\n':
            raise DataError(f"--separator {options.separator!r}: expected one character, or tab")
        return given
    with opened(path, options.encoding) as text:
        start = "".join(islice(text, _TRIED))
    first, _, others = start.partition("\n")
    if _STATEMENT.fullmatch(first.strip()):
        if len(first.strip()) == len("sep=,"):
            return first.strip()[-1]
        start = others
    usual = "\t" if kind_of(path) in (".tsv", ".tab") else ","
    widths = {mark: _widths(start, mark) for mark in _SEPARATORS}
    even = [mark for mark, found in widths.items() if len(found) == 1 and found[0] > 1]
    if len(even) > 1:
        listed = " and by ".join(_SEPARATORS[mark] for mark in even)
        raise DataError(f"{path}: line 1 can be separated by {listed}; say which with --separator")
    if not even and kind_of(path) == ".txt" and len(blank := _widths(start, " ")) == 1 and blank[0] > 1:
        return " "
    in_header = [mark for mark in (usual, *_SEPARATORS) if widths[mark] and widths[mark][0] > 1]
    return next(iter((*even, *in_header, usual)))


def _widths(start: str, separator: str) -> list[int]:
    """List the numbers of values in the first lines, the header's first, each once."""
    lines = io.StringIO(start, newline="")
    try:
        records = [
            record for record in csv.reader(lines, delimiter=separator, skipinitialspace=True) if record
        ]
    except csv.Error:
        return []
    whole = records[:-1] or records  # the last one may be cut off
    return list(dict.fromkeys(len(record) for record in whole))
