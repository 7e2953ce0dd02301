"""Reads a table of any supported type."""

from pathlib import Path
from typing import Final

from caveat.training.data.files.delimited import read_delimited
from caveat.training.data.files.json_rows import LINES, read_json
from caveat.training.data.files.parquet import read_parquet
from caveat.training.data.files.raw import Table
from caveat.training.data.files.texts import PACKED, kind_of
from caveat.training.data.options import FileOptions
from caveat.training.errors import DataError

DELIMITED: Final = (".csv", ".tsv", ".tab", ".txt")
PARQUET: Final = (".parquet", ".pq")
TABLES: Final = (*DELIMITED, *LINES, ".json", *PARQUET)
"""Suffixes of tables."""


def read_table(path: Path, options: FileOptions) -> Table:
    """Read a table as it stands in a file.

    Raises
    ------
    DataError
        If the file can't be read, is of an unknown type, or does not take the options.
    """
    kind = kind_of(path)
    if kind in DELIMITED:
        return read_delimited(path, options)
    if kind in (*LINES, ".json"):
        return read_json(path, _without(options, path, "separator"))
    if kind in PARQUET and path.suffix.lower() not in PACKED:
        _without(options, path, "separator", "encoding")
        return read_parquet(path)
    raise DataError(f"{path}: unknown type {kind!r}; expected {', '.join(TABLES)} or .npz")


def _without(options: FileOptions, path: Path, *names: str) -> FileOptions:
    for name in names:
        if getattr(options, name) is not None:
            raise DataError(f"{path}: --{name} goes with text whose values are separated, not with this file")
    return options
