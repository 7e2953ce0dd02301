"""A table as it stands in a file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.spelling import tidy
from caveat.training.errors import DataError

LONGEST: Final = 1000
"""Most characters of the name of a column, or of a category."""


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
    nameless
        Names that were made for columns without one.
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
    nameless: frozenset[str] = frozenset()
    unreadable: dict[str, str] = field(default_factory=dict)
    separator: str | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int, column: str) -> str:
        """Name a cell for a person."""
        return f"{self.path}: {self.unit} {self.numbers[row]}: column {column!r}"


@dataclass(frozen=True)
class Names:
    """The names of a table's columns: as they are written, those that were made, and notes."""

    each: list[str]
    made: frozenset[str]
    notes: tuple[str, ...]


def tidy_names(names: Sequence[str], path: Path) -> Names:
    """Write the names of columns on one line, and number those without a name.

    Raises
    ------
    DataError
        If two columns have one name, or one can't be written.
    """
    tidied = [tidy(name) or f"column {number}" for number, name in enumerate(names, start=1)]
    for number, name in enumerate(tidied, start=1):
        if len(name) > LONGEST or not is_text(name):
            raise DataError(
                f"{path}: the name of column {number}, {name[:40]!a}, has more than {LONGEST:,} characters "
                "or half of one; rename it in the file"
            )
    for name, count in Counter(tidied).items():
        if count > 1:
            at = " and ".join(str(number) for number, each in enumerate(tidied, start=1) if each == name)
            raise DataError(f"{path}: columns {at} are both called {name!r}; rename one in the file")
    changed = [
        name for name, given in zip(tidied, names, strict=True) if name != given.strip() and tidy(given)
    ]
    made = frozenset(name for name, given in zip(tidied, names, strict=True) if not tidy(given))
    notes = (f"the name {name!r} stands on several lines, or has several blanks" for name in changed)
    return Names(tidied, made, tuple(notes))


def is_text(text: str) -> bool:
    r"""Tell whether a text has no half of a character, which JSON can write and UTF-8 can't.

    >>> is_text("caf\u00e9"), is_text("\ud800")
    (True, False)
    """
    return not any("\ud800" <= each <= "\udfff" for each in text)
