"""The decimal mark of numbers in text."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import polars as pl

from caveat.training.data.columns.column import Doubt, quoted
from caveat.training.data.files.raw import Table
from caveat.training.data.numbers import evident_decimal

_TRIED: Final = 10_000  # texts of each column that are looked at

_NUMBER: Final = r"^[^\d.,]{0,4}([\d.,]*\d)[^\d.,]{0,4}$"


def decimals(table: Table, stated: str | None) -> Mapping[str, str] | Doubt:
    """Find the decimal mark of each column of text.

    Where half of the numbers with a mark can be read in one way alone, that way holds for the column. For
    other columns the owner's word holds; without it the mark of those columns or, in files whose values are
    separated by commas or have types, the point: a comma then separates thousands.

    Parameters
    ----------
    table
        The table.
    stated
        The decimal mark that its owner stated.
    """
    found: dict[str, str | None] = {}
    unclear: dict[str, pl.Series] = {}
    for name, column in table.columns.items():
        if column.dtype == pl.String:
            digits = column.head(_TRIED).str.strip_chars().str.extract(_NUMBER).drop_nulls()
            digits = digits.filter(digits.str.contains("[.,]"))
            found[name] = _evident(digits)
            if found[name] is None and len(digits):
                unclear[name] = digits
    evident = set(found.values()) - {None}
    usual = stated or ("." if table.separator in (",", None) else None)
    if usual is None and len(evident) == 1:
        usual = next(iter(evident))
    if usual is None and unclear:
        name, digits = next(iter(unclear.items()))
        reason = f"has numbers such as {quoted(digits, 2)}, whose mark may separate decimals or thousands"
        return Doubt(name, f"{reason}; --decimal says which mark separates decimals", "decimal", ",")
    return {name: mark or usual or "." for name, mark in found.items()}


def _evident(digits: pl.Series) -> str | None:
    """Give the mark that half of the numbers, or more, can only have, and the others can have."""
    counts = Counter(map(evident_decimal, digits.to_list()))
    marks = set(counts) - {None}
    mark = marks.pop() if len(marks) == 1 else None
    return mark if 2 * counts[mark] >= len(digits) else None
