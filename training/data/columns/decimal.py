"""The decimal mark of numbers in text."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from caveat.training.data.columns.column import Doubt, quoted
from caveat.training.data.files.raw import Table
from caveat.training.data.numbers import evident_decimal, marked

_TRIED: Final = 2_000  # texts of each column that are looked at

_OTHERS: Final = 0.1
"""Fraction of other texts with a point or comma beyond which a column is none of numbers."""

_DIGITS: Final = re.compile(r"[\d.,]*\d")


@dataclass(frozen=True)
class _Evidence:
    """How many numbers of a column can only have the point, only the comma, or either as decimal mark."""

    point: int
    comma: int
    either: list[str]

    @property
    def mark(self) -> str | None:
        """The mark that the numbers have, if no number has the other one and not all may have either."""
        if self.point and not self.comma:
            return "."
        return "," if self.comma and not self.point and self.comma >= len(self.either) else None


def decimals(
    table: Table, names: Iterable[str], stated: str | None, known: Mapping[str, str] | None = None
) -> dict[str, str | Doubt]:
    """Find the decimal mark of columns of text.

    A column whose numbers can be read in one way alone is read in this way. For others the owner's word
    holds; without it the mark of the other columns, or the point if no column shows a mark in text that is
    separated by commas, where a comma then separates thousands.

    Parameters
    ----------
    table
        The table.
    names
        Names of the columns.
    stated
        The decimal mark that its owner stated.
    known
        The marks that columns had in training.

    Returns
    -------
    dict
        The mark for each column, or a doubt.
    """
    columns = {name: table.columns[name] for name in names if table.columns[name].dtype == pl.String}
    evidence = {name: _evidence(column) for name, column in columns.items()}
    evident = {of.mark for of in evidence.values()} - {None}
    usual = stated
    if usual is None and len(evident) == 1:
        (usual,) = evident
    elif usual is None and not evident and table.separator in (",", None):
        usual = "."
    return {name: _mark(name, of, stated, (known or {}).get(name, usual)) for name, of in evidence.items()}


def _mark(name: str, of: _Evidence, stated: str | None, usual: str | None) -> str | Doubt:
    own = of.mark
    contradicted = usual is not None and (of.comma if usual == "." else of.point)
    if own is not None and (not of.either or own == usual or (own == "." and not contradicted)):
        return own
    if not of.either or (usual is not None and (stated or not contradicted)):
        return usual or "."
    reason = f"has numbers such as {quoted(of.either, 2)}, whose mark may separate decimals or thousands"
    return Doubt(name, f"{reason} (--decimal . or --decimal ,)", "decimal", ",")


def _evidence(column: pl.Series) -> _Evidence:
    """Look at the numbers of a column; one that holds dates or lists has none."""
    texts = column.head(_TRIED).drop_nulls().unique(maintain_order=True).to_list()
    either: list[str] = []
    counts: Counter[str] = Counter()
    others = 0
    with_marks = [text for text in texts if any(mark in text for mark in ".,")]
    for text in with_marks:
        readable = [mark for mark in ".," if _is_number(text, mark)]
        digits = _DIGITS.search(text)
        if not readable or digits is None:
            others += 1
            continue
        mark = readable[0] if len(readable) == 1 else evident_decimal(digits[0])
        if mark is None:
            either.append(text)
        else:
            counts[mark] += 1
    if others > _OTHERS * len(with_marks):
        return _Evidence(0, 0, [])
    return _Evidence(counts["."], counts[","], either)


def _is_number(text: str, decimal: str) -> bool:
    found = marked(text, decimal)
    return found is not None and found.value is not None
