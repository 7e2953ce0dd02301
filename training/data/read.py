"""Reads a user's file of any supported type."""

from pathlib import Path

from caveat.training.data.arrays import read_arrays
from caveat.training.data.dataset import Dataset
from caveat.training.data.options import TableOptions
from caveat.training.data.table import read_table
from caveat.training.errors import DataError
from caveat.training.vocabulary import Task


def read(
    path: Path,
    target: tuple[str, ...] | None,
    task: Task | None,
    options: TableOptions | None = None,
) -> Dataset:
    """Read a table, or an NPZ file.

    Parameters
    ----------
    path
        The file; its suffix tells its type.
    target
        Names of the columns to predict; None for an NPZ file, whose array ``y`` holds the targets.
    task
        Task to learn; None infers it from the target.
    options
        What the owner says of a table.

    Raises
    ------
    DataError
        If the file does not exist, or can't be learned from.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    options = options or TableOptions()
    if path.suffix.lower() != ".npz":
        return read_table(path, target, task, options)
    if target is not None:
        raise DataError(f"{path}: the target of an NPZ file is its array y; leave --target out")
    for name in TableOptions.model_fields:
        if getattr(options, name) is not None:
            raise DataError(f"{path}: --{name} goes with a table; an NPZ file has arrays")
    return read_arrays(path, task)
