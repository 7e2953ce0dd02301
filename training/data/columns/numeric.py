"""Columns of numbers, also in disguise: with marks for thousands, currencies, percent and units."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.training.data.columns.column import (
    MOST_CATEGORIES,
    Column,
    Doubt,
    Read,
    commonest,
    flag,
    quoted,
    share_missing,
)
from caveat.training.data.columns.figures import Figures
from caveat.training.data.words import counted

NEARLY_ALL: Final = 0.95
"""Fraction of numbers from which on a column of text counts as numbers with mistakes, not as categories."""

FEW: Final = 20
"""Most different numbers of a column that may as well be codes of categories."""

_MANY: Final = 100
"""Different codes with numbers in them from which on a column is hardly one of categories."""

_EXACT: Final = 2.0**53
"""From here on, float64 can't tell all whole numbers apart."""

_LOOKED_AT: Final = 1000  # texts that show which marks a column has


def as_numbers(column: Column, found: Figures) -> Read | Doubt:
    """Read a column as numbers because its owner said so; what is none counts as missing."""
    marks, unmarked = found.used, found.unmarked
    if len(marks) > 1 or (marks and marks[0].absolute and unmarked.any()):
        few = [column.values[found.first(mark)] for mark in marks[:3]]
        few += [column.values[int(np.flatnonzero(unmarked)[0])]] if unmarked.any() else []
        reason = f"has numbers of different units: {quoted(few, 4)}; write them alike"
        return Doubt(column.name, reason, _other_option(column))
    if not found.numbers.any():
        return Doubt(
            column.name, f"has no number: {quoted(commonest(_texts(column)))}", _other_option(column)
        )
    odd = column.values.filter(pl.Series(~found.numbers)).drop_nulls()
    notes = []
    if len(odd):
        few = commonest(odd.cast(pl.String))
        what = "is no number and counts" if len(odd) == 1 else "are no numbers and count"
        notes.append(f"{counted(len(odd), 'value')} of {column.name!r} {what} as missing: {quoted(few)}")
    if marks and unmarked.any():
        unit = repr(found.main.unit)
        notes.append(f"{counted(int(unmarked.sum()), 'value')} of {column.name!r} without {unit} mean it too")
    return _read(column, np.where(found.numbers, found.values, np.nan), found.main.unit, notes)


def by_content(column: Column, found: Figures, *, exact: bool = True) -> Read | Doubt | None:
    """Read a column as numbers if its values are, beyond doubt; None if they are something else.

    Parameters
    ----------
    column, found
        The column, and its numbers.
    exact
        Whether to doubt whole numbers that float64 can't tell apart.
    """
    known = column.known
    numbers = _without_codes(found, len(known))
    share = numbers.numbers.sum() / len(known)
    if share < 1:
        return _doubtful(column, numbers, found) or _many_codes(column, found)
    if len(found.used) > 1 or (found.used and found.unmarked.any()):
        few = [column.values[found.first(mark)] for mark in found.used[:3]]
        few += [column.values[int(np.flatnonzero(found.unmarked)[0])]] if found.unmarked.any() else []
        return _with(column, found, f"has numbers with different marks: {quoted(few, 4)}")
    if not found.main.clear or found.bracketed.all(where=found.numbers):
        if len(np.unique(found.values[found.numbers])) <= FEW:
            return None
        return _with(column, found, f"has numbers with text around them: {quoted(commonest(known))}")
    doubt = _beyond_float(column, found) if exact else None
    return doubt or _read(column, found.values, found.main.unit, [])


def _without_codes(found: Figures, known: int) -> Figures:
    """Take no codes for numbers, such as VS1 and SI2: what stands around digits tells them apart."""
    counts = np.bincount(found.kinds[found.numbers], minlength=len(found.marks))
    return found.without(
        [kind for kind, mark in enumerate(found.marks) if not mark.clear and 2 * counts[kind] < known]
    )


def _doubtful(column: Column, found: Figures, with_codes: Figures) -> Doubt | None:
    """Doubt a column of which nearly all values are numbers, or so many that they are no categories."""
    share = found.numbers.sum() / len(column.known)
    many = len(np.unique(found.values[found.numbers])) > FEW
    odd = column.values.filter(pl.Series(~found.numbers)).drop_nulls()
    if not column.textual:
        return Doubt(column.name, f"{len(odd):,} of {len(column.values):,} values are infinite", "numeric")
    if share < NEARLY_ALL and not (many and share >= 1 / 2):
        return None
    few = quoted(commonest(odd))
    count = f"{found.numbers.sum():,} of {len(column.known):,} values are numbers, but not {few}"
    return _with(column, with_codes, count)


def _many_codes(column: Column, found: Figures) -> Doubt | None:
    """Doubt very many different texts of which most have a number in them."""
    texts = column.values.filter(pl.Series(found.numbers))
    if 2 * len(texts) < len(column.known) or texts.n_unique() <= _MANY:
        return None
    return _with(column, found, f"has many numbers with text around them: {quoted(commonest(texts))}")


def _with(column: Column, found: Figures, reason: str) -> Doubt:
    """Doubt a column, with the option that takes it for numbers if that settles it."""
    if isinstance(as_numbers(column, found), Read):
        odd = "" if found.numbers.sum() == len(column.known) else ", and what is none for missing"
        numbers = f"{flag('numeric', column.name)} takes them for numbers{odd}"
        texts = f"{flag('categorical', column.name)} for categories"
        return Doubt(column.name, f"{reason}; {numbers}, {texts}", "numeric")
    return Doubt(column.name, reason, _other_option(column))


def _other_option(column: Column) -> str:
    return "categorical" if column.known.n_unique() <= MOST_CATEGORIES else "drop"


def _beyond_float(column: Column, found: Figures) -> Doubt | None:
    """Doubt whole numbers that become equal as float64."""
    values = found.values[found.numbers]
    if np.abs(values).max() < _EXACT or len(np.unique(values)) == column.known.n_unique():
        return None
    if not column.textual and column.values.dtype.is_float():
        return None
    reason = "has whole numbers beyond 2**53, of which float64 takes some for equal"
    return Doubt(column.name, f"{reason}; {flag('numeric', column.name)} rounds them", "drop")


def _read(column: Column, values: NDArray[np.float64], unit: str | None, notes: Sequence[str]) -> Read:
    missing = np.isnan(values)
    count = int(missing.sum())
    known = values[~missing]
    low, high = known.min(), known.max()
    words = f"numbers from {_shown(low)} to {_shown(high)}"
    if low == high:
        words = f"the number {_shown(low)} {'wherever it is known' if count else 'in every row'}"
    words += (f", written with {unit!r}" if unit else "") + _grouping(column)
    told = list(notes)
    if low == high and not count:
        told.append(f"{column.name!r} is constant; {flag('drop', column.name)} spares clients to send it")
    elif unit is None and _counts_rows(column, known, count):
        told.append(
            f"{column.name!r} has another whole number in each row; if it is an identifier, "
            f"{flag('drop', column.name)} leaves it out"
        )
    share = share_missing(pl.Series(values).fill_nan(None))
    return Read(Feature(name=column.name, missing=bool(count), unit=unit), values, words + share, tuple(told))


def _grouping(column: Column) -> str:
    """Say which marks are among the digits."""
    if not column.textual:
        return ""
    texts, point = column.known.head(_LOOKED_AT), column.decimal
    thousands = texts.str.contains(r"\d[,' \u2019_]\d{3}" if point == "." else r"\d[.' \u2019_]\d{3}").any()
    parts = ["decimal commas"] if point == "," and texts.str.contains(",").any() else []
    parts += ["separators of thousands"] if thousands else []
    return f", with {' and '.join(parts)}" if parts else ""


def _counts_rows(column: Column, known: NDArray[np.float64], missing: int) -> bool:
    whole = (known == np.floor(known)).all()
    return bool(not missing and whole and len(np.unique(known)) == len(column.values))


def _shown(number: float) -> str:
    return (
        f"{number:,.0f}".replace(",", "") if number == int(number) and abs(number) < 1e15 else f"{number:.6g}"
    )


def _texts(column: Column) -> pl.Series:
    return column.known.cast(pl.String)
