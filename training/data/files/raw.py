"""A table as it stands in a file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.spelling import tidy
from caveat.training.errors import DataError


@dataclass(frozen=True)
class Table:
    """Columns as they stand in a file.

    Parameters
    ----------
    path
        The file.
    columns
        Text or numbers by name; null where a value is missing. Dates and times are texts, as ISO 8601
        writes them.
    dated
        Names of the columns that the file itself says are dates or times.
    unreadable
        Types of columns whose values are none of these, by the column's name.
    numbers
        Number of each row in the file, as ``unit`` counts, shape (B,).
    unit
        ``line`` or ``row``.
    separator
        What separates the values of a text file.
    notes
        What a person should know of how the file was read.
    """

    path: Path
    columns: dict[str, pl.Series]
    numbers: NDArray[np.int64]
    unit: str = "line"
    dated: frozenset[str] = frozenset()
    unreadable: dict[str, str] | None = None
    separator: str | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int, column: str) -> str:
        """Name a cell for a person."""
        return f"{self.path}: {self.unit} {self.numbers[row]}: column {column!r}"


def tidy_names(names: Sequence[str], path: Path) -> tuple[list[str], list[str]]:
    """Write the names of columns on one line, and number those without a name; give notes too.

    Raises
    ------
    DataError
        If two columns have one name.
    """
    tidied = [tidy(name) or f"column {number}" for number, name in enumerate(names, start=1)]
    for name, count in Counter(tidied).items():
        if count > 1:
            at = " and ".join(str(number) for number, each in enumerate(tidied, start=1) if each == name)
            raise DataError(f"{path}: columns {at} are both called {name!r}; rename one in the file")
    changed = [name for name, given in zip(tidied, names, strict=True) if name != given.strip() != ""]
    return tidied, [f"the name {name!r} stands on several lines, or has several blanks" for name in changed]
