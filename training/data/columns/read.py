"""Decides what a column means: by what its owner says or, where that is beyond doubt, by its values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.training.data.columns.categorical import as_categories
from caveat.training.data.columns.column import Column, Doubt, LeftOut, Read
from caveat.training.data.columns.dated import as_dates, doubted
from caveat.training.data.columns.numeric import FEW, as_numbers, by_content, figures
from caveat.training.data.numbers import PLAIN
from caveat.training.data.options import TableOptions
from caveat.training.errors import DataError

_PADDED: Final = r"^0\d"
"""Whole numbers with leading zeros, which are codes."""

_COMPACT: Final = (18000101, 22001231)

_INDEX: Final = re.compile(r"column \d+|Unnamed: ?\d+|__index_level_\d+__")
"""Names that other programs give to row numbers and row names."""

_NUMBERING: Final = ("index", "level_0", "rownames", "row.names", "row_names", "rowname")


@dataclass(frozen=True)
class Statement:
    """What the owner of a table says of one of its columns.

    Parameters
    ----------
    kind
        ``numeric``, ``categorical`` or ``dates``; None if nothing is said.
    form
        Form of dates.
    wanted
        Whether the column is named by any option, so that it is none that numbers the rows.
    """

    kind: str | None = None
    form: str | None = None
    wanted: bool = False


def statements(names: Sequence[str], options: TableOptions) -> dict[str, Statement]:
    """Give what options say of each column.

    Raises
    ------
    DataError
        If an option names a column that is not there, or two options differ about one.
    """
    found: dict[str, Statement] = {}
    for kind in ("numeric", "categorical", "dates"):
        for given in getattr(options, kind) or ():
            name, form = _name_and_form(given, names) if kind == "dates" else (given, None)
            if name in found:
                raise DataError(f"--{found[name].kind} and --{kind} both name {name!r}; expected one")
            found[name] = Statement(kind, form, wanted=True)
    for name in options.features or ():
        found.setdefault(name, Statement(wanted=True))
    return found


def _name_and_form(given: str, names: Sequence[str]) -> tuple[str, str | None]:
    """Take ``born=%d/%m/%Y`` apart."""
    name, equals, form = given.partition("=")
    return (given, None) if given in names or not equals else (name, form)


def read_column(column: Column, stated: Statement, options: TableOptions) -> Read | LeftOut | Doubt:
    """Read a feature, leave it out, or say why its owner has to settle what it means."""
    known = column.known
    if not len(known):
        return LeftOut(column.name, "left out, as it has no values")
    if not stated.wanted and _numbers_rows(column):
        return LeftOut(column.name, "left out, as it numbers or names the rows")
    match stated.kind:
        case "numeric":
            return as_numbers(column, figures(column))
        case "categorical":
            return as_categories(column, bool(options.unseen), stated=True)
        case "dates":
            return as_dates(column, stated.form)
    if _INDEX.fullmatch(column.name) and not stated.wanted:
        return Doubt(column.name, "has no name of its own; --features or another option keeps it", "drop")
    return _by_content(column, options)


def _by_content(column: Column, options: TableOptions) -> Read | Doubt:
    categories = partial(as_categories, column, bool(options.unseen), stated=False)
    if is_padded(column):
        return categories()
    found = figures(column)
    compact = doubted(column) if _has_eight_digits(found.values) else None
    return compact or by_content(column, found) or doubted(column) or categories()


def is_padded(column: Column) -> bool:
    """Tell whether whole numbers of a column have leading zeros, as codes have."""
    if not column.textual:
        return False
    known = column.known.str.strip_chars()
    numbers = known.filter(known.str.contains(PLAIN))
    return bool(numbers.str.contains(_PADDED).any() and numbers.str.contains(r"^\d+$").all())


def _has_eight_digits(values: NDArray[np.float64]) -> bool:
    """Tell whether a column has whole numbers such as 20260301, and too many for codes."""
    known = values[~np.isnan(values)]
    if not len(known) or known.min() < _COMPACT[0] or known.max() > _COMPACT[1]:
        return False
    return bool((known == np.floor(known)).all() and len(np.unique(known)) > FEW)


def _numbers_rows(column: Column) -> bool:
    """Tell whether a column without a name of its own has another value in each row."""
    different = column.known.n_unique() == len(column.values)
    if _INDEX.fullmatch(column.name):
        return different
    if column.name.lower() not in _NUMBERING or not different:
        return False
    values = np.sort(figures(column).values)
    return bool(values[0] in (0, 1) and (np.diff(values) == 1).all())
