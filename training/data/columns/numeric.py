"""Columns of numbers, also in disguise: with marks for thousands, currencies, percent and units."""

import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.training.data.columns.column import Column, Doubt, Read, commonest, flag, quoted, share_missing
from caveat.training.data.numbers import marked, read_numbers

NEARLY_ALL: Final = 0.95
"""Fraction of numbers from which on a column of text counts as numbers with mistakes, not as categories."""

FEW: Final = 20
"""Most different numbers of a column that may as well be codes of categories."""

_EXACT: Final = 2.0**53
"""From here on, float64 can't tell all whole numbers apart."""

_CURRENCIES: Final = frozenset(
    [
        "USD",
        "EUR",
        "GBP",
        "JPY",
        "CNY",
        "CHF",
        "CAD",
        "AUD",
        "NZD",
        "INR",
        "SEK",
        "NOK",
        "DKK",
        "PLN",
        "BRL",
        "US$",
        "R$",
        "kr",
    ]
)

_LOOKED_AT: Final = 1000  # texts that show which marks a column has

_MAGNITUDES: Final = frozenset(
    ["k", "K", "m", "M", "b", "B", "T", "bn", "mn", "mio", "Mio", "Mrd", "thousand", "million", "billion"]
)


@dataclass(frozen=True)
class Figures:
    """The numbers of a column of text.

    Parameters
    ----------
    values
        Shape (B,), NaN where a value is missing or no number.
    marks
        What stands around the digits of each number, as indices into ``kinds``, shape (B,); -1 where there
        is no number.
    kinds
        The different marks, before and behind the digits; ``("", "")`` for none.
    """

    values: NDArray[np.float64]
    marks: NDArray[np.intp]
    kinds: list[tuple[str, str]]

    @property
    def numbers(self) -> NDArray[np.bool_]:
        """Which values are numbers."""
        numbers: NDArray[np.bool_] = self.marks >= 0
        return numbers

    def of(self, mark: tuple[str, str]) -> NDArray[np.bool_]:
        """Tell which numbers have a mark."""
        kind = self.kinds.index(mark) if mark in self.kinds else len(self.kinds)
        having: NDArray[np.bool_] = self.marks == kind
        return having

    @property
    def main(self) -> tuple[str, str]:
        """The commonest mark."""
        counts = Counter(self.marks[self.numbers].tolist())
        return self.kinds[counts.most_common(1)[0][0]] if counts else ("", "")


def figures(column: Column) -> Figures:
    """Read the numbers of a column."""
    if not column.textual:
        values = column.values.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
        values[np.isinf(values)] = np.nan
        return Figures(values, np.where(np.isnan(values), -1, 0), [("", "")])
    read = read_numbers(column.values, column.decimal)
    kinds = [("", "")]
    marks = np.where(read.plain & ~np.isnan(read.values), 0, -1)
    others = np.flatnonzero(~read.plain & ~np.isnan(read.values))
    for row, text in zip(others.tolist(), column.values.gather(others).to_list(), strict=True):
        found = marked(text, column.decimal)
        assert found is not None
        if found.mark not in kinds:
            kinds.append(found.mark)
        marks[row] = kinds.index(found.mark)
    return Figures(read.values, marks, kinds)


def as_numbers(column: Column, found: Figures) -> Read | Doubt:
    """Read a column as numbers because its owner said so; what is none counts as missing."""
    counts = Counter(found.marks[found.numbers].tolist())
    main = found.main
    if any(mark[1] in _MAGNITUDES for mark in found.kinds) and len(counts) > 1:
        mixed = [column.values[int(np.flatnonzero(found.marks == kind)[0])] for kind in counts]
        return Doubt(
            column.name, f"has numbers of several magnitudes: {quoted(mixed)}; write them out", "drop"
        )
    kept = found.of(main) | found.of(("", ""))
    if not kept.any():
        return Doubt(column.name, f"has no number: {quoted(commonest(_texts(column)))}", "drop")
    values = np.where(kept, found.values, np.nan)
    odd = column.values.filter(pl.Series(~kept)).drop_nulls()
    notes = []
    if len(odd):
        few = quoted(commonest(odd.cast(pl.String)))
        notes.append(f"{len(odd):,} values of {column.name!r} are no numbers and count as missing: {few}")
    return _read(column, values, main, notes)


def clear(column: Column, found: Figures) -> NDArray[np.bool_]:
    """Tell which values are numbers beyond doubt, shape (B,): without a mark, or with a clear one."""
    kinds = [kind for kind, mark in enumerate(found.kinds) if mark == ("", "") or _is_clear(column, mark)]
    return np.isin(found.marks, kinds)


def by_content(column: Column, found: Figures, *, exact: bool = True) -> Read | Doubt | None:
    """Read a column as numbers if its values are, beyond doubt; None if they are something else.

    Parameters
    ----------
    column, found
        The column, and its numbers.
    exact
        Whether to doubt whole numbers that float64 can't tell apart.
    """
    known = len(column.known)
    found = _without_codes(column, found, known)
    share = found.numbers.sum() / known
    if share < 1:
        return _doubtful(column, found, share)
    main = found.main
    alike = found.of(main)
    if not alike.all(where=found.numbers):
        few = quoted(commonest(column.values.filter(pl.Series(found.numbers & ~alike))))
        usual = column.values[int(np.flatnonzero(alike)[0])]
        reason = f"has numbers with different marks: most are like {usual!r}, but {few} are not"
        return Doubt(
            column.name, f"{reason}; {flag('categorical', column.name)} takes them for categories", "numeric"
        )
    if main != ("", "") and not _is_clear(column, main):
        if len(np.unique(found.values[found.numbers])) <= FEW:
            return None
        few = quoted(commonest(column.known))
        texts = f"{flag('categorical', column.name)} takes them for texts"
        reason = f"has numbers with text around them: {few}; {texts}"
        return Doubt(column.name, reason, "numeric")
    return (_beyond_float(column, found) if exact else None) or _read(column, found.values, main, [])


def _without_codes(column: Column, found: Figures, known: int) -> Figures:
    """Take no codes for numbers, such as VS1 and SI2: what stands around digits tells them apart."""
    counts = np.bincount(found.marks[found.numbers], minlength=len(found.kinds))
    codes = [
        kind
        for kind, mark in enumerate(found.kinds)
        if kind and counts[kind] < NEARLY_ALL * known and not _is_clear(column, mark)
    ]
    return replace(found, marks=np.where(np.isin(found.marks, codes), -1, found.marks)) if codes else found


def _doubtful(column: Column, found: Figures, share: float) -> Doubt | None:
    """Doubt a column of which nearly all values are numbers, or so many that they are no categories."""
    many = len(np.unique(found.values[found.numbers])) > FEW
    odd = column.values.filter(pl.Series(~found.numbers)).drop_nulls()
    few = quoted(commonest(odd.cast(pl.String)))
    if not column.textual:
        return Doubt(column.name, f"{len(odd):,} of {len(column.values):,} values are infinite", "numeric")
    if share < NEARLY_ALL and not (many and share >= 1 / 2):
        return None
    reason = (
        f"{found.numbers.sum():,} of {len(column.known):,} values are numbers, but not {few}; "
        f"{flag('numeric', column.name)} takes those for missing, {flag('categorical', column.name)} all for "
        "categories"
    )
    return Doubt(column.name, reason, "numeric")


def _is_clear(column: Column, mark: tuple[str, str]) -> bool:
    """Tell whether a mark says that a number is meant: a currency, percent, or a unit behind a blank."""
    before, after = mark
    if before and after:
        return False
    text = before or after
    if text in _CURRENCIES or text in ("%", "‰") or all(unicodedata.category(each) == "Sc" for each in text):
        return True
    first = marked(column.known[0], column.decimal)
    return bool(after) and after not in _MAGNITUDES and first is not None and first.apart


def _beyond_float(column: Column, found: Figures) -> Doubt | None:
    """Doubt whole numbers that become equal as float64."""
    values = found.values[found.numbers]
    if np.abs(values).max() < _EXACT or len(np.unique(values)) == column.known.n_unique():
        return None
    if not column.textual and column.values.dtype.is_float():
        return None
    reason = "has whole numbers beyond 2**53, of which float64 takes some for equal"
    return Doubt(column.name, f"{reason}; {flag('numeric', column.name)} rounds them", "drop")


def _read(column: Column, values: NDArray[np.float64], mark: tuple[str, str], notes: list[str]) -> Read:
    missing = np.isnan(values)
    count = int(missing.sum())
    known = values[~missing]
    low, high = known.min(), known.max()
    around = " and ".join(repr(part) for part in mark if part)
    words = f"numbers from {_shown(low)} to {_shown(high)}" + (f", written with {around}" if around else "")
    words += _grouping(column)
    if low == high:
        words = (
            f"the number {_shown(low)} wherever it is known"
            if count
            else f"the number {_shown(low)} in every row"
        )
    if low == high and not count:
        notes = [
            *notes,
            f"{column.name!r} is constant; {flag('drop', column.name)} spares clients to send it",
        ]
    elif not around and _counts_rows(column, known, count):
        notes = [
            *notes,
            f"{column.name!r} has another whole number in each row; if it is an identifier, "
            f"{flag('drop', column.name)} leaves it out",
        ]
    share = share_missing(pl.Series(values).fill_nan(None))
    return Read(Feature(name=column.name, missing=bool(count)), values, words + share, tuple(notes))


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
