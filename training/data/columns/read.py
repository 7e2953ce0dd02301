"""Decides what a column means: by what its owner says or, where that is beyond doubt, by its values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.training.data.columns.categorical import as_categories
from caveat.training.data.columns.column import Column, Doubt, LeftOut, Read, flag
from caveat.training.data.columns.dated import as_dates, doubted
from caveat.training.data.columns.figures import figures
from caveat.training.data.columns.numeric import FEW, as_numbers, by_content
from caveat.training.data.numbers import PLAIN
from caveat.training.data.options import TableOptions
from caveat.training.errors import DataError

_PADDED: Final = r"^0\d"
"""Whole numbers with leading zeros, which are codes."""

_COMPACT: Final = (18000101, 22001231)

_INDEX: Final = re.compile(r"Unnamed: ?\d+|__index_level_\d+__")
"""Names that pandas gives to columns without one."""

_NUMBERING: Final = ("index", "level_0", "rownames", "row.names", "row_names", "rowname")
"""Names of columns that number the rows, if they do."""


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
        If two options differ about a column.
    """
    found: dict[str, Statement] = {}
    dropped = set(options.drop or ())
    for kind in ("numeric", "categorical", "dates"):
        for given in getattr(options, kind) or ():
            name, form = name_and_form(given, names) if kind == "dates" else (given, None)
            before = "drop" if name in dropped else found[name].kind if name in found else kind
            if before != kind:
                raise DataError(f"--{before} and --{kind} both name {name!r}; expected one")
            if options.features is not None and name not in options.features and name in names:
                raise DataError(f"--{kind} names {name!r}, which --features leaves out; name it in both")
            if form is not None or name not in found:  # a form may be given after the name alone
                found[name] = Statement(kind, form, wanted=True)
    for name in options.features or ():
        found.setdefault(name, Statement(wanted=True))
    return found


def name_and_form(given: str, names: Sequence[str]) -> tuple[str, str | None]:
    """Take ``born=%d/%m/%Y`` apart, for columns of these names.

    >>> name_and_form("a=b=%Y", ["a=b"]), name_and_form("born", ["born"])
    (('a=b', '%Y'), ('born', None))
    """
    if given in names:
        return given, None
    places = [place for place, mark in enumerate(given) if mark == "=" and given[:place] in names]
    if not places:
        return given.partition("=")[0], None
    return given[: places[-1]], given[places[-1] + 1 :]


def read_column(column: Column, stated: Statement, options: TableOptions) -> Read | LeftOut | Doubt:
    """Read a feature, leave it out, or say why its owner has to settle what it means."""
    known = column.known
    if not len(known):
        return LeftOut(column.name, "left out, as it has no values")
    match stated.kind:
        case "numeric":
            return as_numbers(column, figures(column))
        case "categorical":
            return as_categories(column, bool(options.unseen), stated=True)
        case "dates":
            return as_dates(column, stated.form)
    if _is_nameless(column) and not stated.wanted:
        kept = flag("features", column.name)
        return Doubt(column.name, f"has no name of its own; {kept}, or another option, keeps it", "drop")
    return _by_content(column, options)


def _by_content(column: Column, options: TableOptions) -> Read | Doubt:
    if is_padded(column):
        return as_categories(column, bool(options.unseen), stated=False)
    found = figures(column)
    plain = bool((found.kinds[column.values.is_not_null().to_numpy()] == 0).all())
    doubt = None if plain and not _has_eight_digits(found.values) else doubted(column)
    read = doubt or by_content(column, found)
    return read or as_categories(column, bool(options.unseen), stated=False)


def _is_nameless(column: Column) -> bool:
    return column.nameless or bool(_INDEX.fullmatch(column.name))


def is_padded(column: Column) -> bool:
    """Tell whether whole numbers of a column have leading zeros, as codes have."""
    if not column.textual:
        return False
    known = column.known.str.strip_chars()
    numbers = known.filter(known.str.contains(r"^\d[\d ]*$"))
    others = known.filter(known.str.contains(PLAIN) & ~known.str.contains(r"^\d+$"))
    return bool(numbers.str.contains(_PADDED).any()) and not len(others)


def _has_eight_digits(values: NDArray[np.float64]) -> bool:
    """Tell whether a column has whole numbers such as 20260301, and too many for codes."""
    known = values[~np.isnan(values)]
    if not len(known) or known.min() < _COMPACT[0] or known.max() > _COMPACT[1]:
        return False
    return bool((known == np.floor(known)).all() and len(np.unique(known)) > FEW)


def numbers_rows(column: Column) -> bool:
    """Tell whether a column counts all rows, or one without a name has another text in each row."""
    if not len(column.known):
        return False
    if not _is_nameless(column) and column.name.lower() not in _NUMBERING:
        return False
    values = figures(column).values
    if np.isnan(values).any():
        return _is_nameless(column) and column.textual and column.known.n_unique() == len(column.values)
    steps = np.diff(np.sort(values))
    return bool(values.min() in (0, 1) and (steps == 1).all())
