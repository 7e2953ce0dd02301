"""The numbers of a column of text, and what stands around them."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.training.data.columns.column import Column
from caveat.training.data.numbers import marked, read_numbers

_CURRENCY: Final = re.compile(
    "USD|EUR|GBP|JPY|CNY|CHF|CAD|AUD|NZD|INR|SEK|NOK|DKK|PLN|BRL|US\\$|R\\$|Rs\\.?|kr"
)

_MAGNITUDE: Final = re.compile(
    r"(?:[kKmMbBTG]|bn|mn|mio|Mio|Mrd|tsd|Tsd|thousand|million|billion|trillion)\.?(?![a-zA-Z0-9²³])|[kKMGT]i?[bB]\b"
)

_PERCENT: Final = ("%", "\u2030")


@dataclass(frozen=True)
class Mark:
    """What stands before and behind the digits of a number.

    Parameters
    ----------
    before, after
        The texts.
    apart
        Whether a blank stands between the digits and what is behind them.
    """

    before: str = ""
    after: str = ""
    apart: bool = False

    @property
    def unit(self) -> str | None:
        """The mark in a word; None for a number without one."""
        return " ".join(filter(None, (self.before, self.after))) or None

    @property
    def absolute(self) -> bool:
        """Whether a number without the mark may mean another one: 0.5 is none of 0.5 %, nor 3 of 3k."""
        unit = self.unit or ""
        return unit in _PERCENT or bool(_MAGNITUDE.match(unit))

    @property
    def clear(self) -> bool:
        """Whether a number is meant beyond doubt: with a currency, percent, or a unit behind a blank."""
        unit = self.unit
        if unit is None or (self.before and self.after):
            return unit is None
        if unit in _PERCENT or _CURRENCY.fullmatch(unit):
            return True
        if all(unicodedata.category(each) == "Sc" for each in unit):
            return True
        return bool(self.after) and self.apart and not self.absolute


PLAIN: Final = Mark()


@dataclass(frozen=True)
class Figures:
    """The numbers of a column.

    Parameters
    ----------
    values
        Shape (B,), NaN where a value is missing or no number.
    kinds
        The mark of each number, as an index into ``marks``, shape (B,); -1 where there is no number.
    marks
        The different marks, that of plain numbers first; marks that differ in capital letters are one.
    bracketed
        Which numbers are in brackets, shape (B,).
    """

    values: NDArray[np.float64]
    kinds: NDArray[np.intp]
    marks: list[Mark]
    bracketed: NDArray[np.bool_]

    @property
    def numbers(self) -> NDArray[np.bool_]:
        """Which values are numbers."""
        found: NDArray[np.bool_] = self.kinds >= 0
        return found

    @property
    def unmarked(self) -> NDArray[np.bool_]:
        """Which values are numbers without a mark; a zero needs none."""
        found: NDArray[np.bool_] = (self.kinds == 0) & (self.values != 0)
        return found

    @property
    def used(self) -> list[Mark]:
        """The marks that numbers have, the commonest first, without that of plain numbers."""
        counts = Counter(self.kinds[self.kinds > 0].tolist())
        return [self.marks[kind] for kind, _ in counts.most_common()]

    @property
    def main(self) -> Mark:
        """The only mark, or that of plain numbers."""
        return self.used[0] if len(self.used) == 1 else PLAIN

    def without(self, kinds: list[int]) -> "Figures":
        """Take the numbers with some marks for none."""
        return replace(self, kinds=np.where(np.isin(self.kinds, kinds), -1, self.kinds))

    def first(self, mark: Mark) -> int:
        """Give the first row with a mark."""
        return int(np.flatnonzero(self.kinds == self.marks.index(mark))[0])


def figures(column: Column) -> Figures:
    """Read the numbers of a column."""
    if not column.textual:
        values = column.values.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
        values[np.isinf(values)] = np.nan
        kinds = np.where(np.isnan(values), -1, 0)
        return Figures(values, kinds, [PLAIN], np.zeros(len(values), np.bool_))
    read = read_numbers(column.values, column.decimal)
    found = {("", ""): PLAIN}
    places = {("", ""): 0}
    kinds = np.where(read.plain & ~np.isnan(read.values), 0, -1)
    bracketed = np.zeros(len(kinds), np.bool_)
    others = np.flatnonzero(~read.plain & ~np.isnan(read.values))
    for row, text in zip(others.tolist(), column.values.gather(others).to_list(), strict=True):
        number = marked(text, column.decimal)
        assert number is not None
        key = (number.before.casefold(), number.after.casefold())
        if key not in found:
            places[key] = len(found)
            found[key] = Mark(number.before, number.after, number.apart)
        kinds[row], bracketed[row] = places[key], number.bracketed
    return Figures(read.values, kinds, list(found.values()), bracketed)
