"""Reads a user's file of any supported type."""

from pathlib import Path

from caveat.training.data.arrays import read_arrays
from caveat.training.data.dataset import Dataset
from caveat.training.data.table import read_table
from caveat.training.errors import DataError
from caveat.training.vocabulary import Task


def read(path: Path, target: tuple[str, ...] | None, task: Task | None) -> Dataset:
    """Read a CSV, Parquet or NPZ file.

    Parameters
    ----------
    path
        The file; its suffix tells its type.
    target
        Names of the columns to predict; None for an NPZ file, whose array ``y`` holds the targets.
    task
        Task to learn; None infers it from the target.

    Raises
    ------
    DataError
        If the file does not exist, or can't be learned from.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    match path.suffix.lower():
        case ".csv" | ".parquet":
            return read_table(path, target, task)
        case ".npz":
            if target is not None:
                raise DataError(f"{path}: the target of an NPZ file is its array y; leave --target out")
            return read_arrays(path, task)
        case suffix:
            raise DataError(f"{path}: unknown type {suffix!r}; expected .csv, .parquet or .npz")
