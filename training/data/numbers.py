r"""Numbers in text: with marks for thousands, currencies, percent and units.

A number is *plain* if it is written as programs write it, and *marked* otherwise. What a mark means is not
decided here: `Marked` says what stands around the digits, and `caveat.training.data.columns` decides.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.spelling import tidy

PLAIN: Final = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"

_COMMA: Final = r"^[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?$"

_MARKED: Final = re.compile(
    r"""
    (?P<bracket>\()?\s?                        # accountants write -5 as (5)
    (?P<sign>[-+\u2212])?\s?
    (?P<before>[^\d,'()+\u2212\s-][^\d,'()+\u2212-]*?)?\s?
    (?P<second>[-+\u2212])?
    (?P<digits>\d[\d.,'\u2019_ ]*\d|\d|[.,]\d+)
    (?P<power>[eE][+-]?\d+)?
    (?P<gap>\s)?
    (?P<after>[^\d.,'()\s+\u2212-][^()]*?)?
    (?P<behind>[-\u2212])?                     # and some write 5-
    (?(bracket)\s?\)|)
    """,
    re.VERBOSE,
)

_LONGEST: Final = 60
"""Most characters of a text that may be a number."""

_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(?:([.,'\u2019_ ])\d{3})(?:\1\d{3})*|[1-9]\d?(?:,\d{2})+,\d{3}")
"""Groups of three digits, or of two and three as in India."""


@dataclass(frozen=True)
class Marked:
    """A number in text, taken apart.

    Parameters
    ----------
    value
        The number; None if its digits are none with this decimal mark.
    before, after
        What stands before and behind the digits.
    apart
        Whether a blank stands between the digits and what is behind them.
    bracketed
        Whether all is in brackets, as accountants write negative numbers.
    """

    value: float | None
    before: str
    after: str
    apart: bool
    bracketed: bool = False

    @property
    def mark(self) -> tuple[str, str]:
        """What the values of one column must have in common."""
        return self.before, self.after


@lru_cache(2**17)
def marked(text: str, decimal: str) -> Marked | None:
    """Take a text apart that is a number with something around it; None if it is none.

    >>> marked("$ 1,234.50", ".")
    Marked(value=1234.5, before='$', after='', apart=False, bracketed=False)
    >>> marked("(9,7 %)", ",")
    Marked(value=-9.7, before='', after='%', apart=True, bracketed=True)
    """
    found = _MARKED.fullmatch(tidy(text)) if len(text) <= _LONGEST else None
    if found is None:
        return None
    signs = [found[part] for part in ("sign", "second", "behind", "bracket") if found[part]]
    before, digits = (found["before"] or "").strip(), found["digits"]
    # A telephone number has a plus and groups; auto.3 has no decimal point.
    if len(signs) > 1 or (signs == ["+"] and " " in digits) or (before and digits[0] in ".,"):
        return None
    value = _value(digits, found["power"] or "", decimal)
    if value is not None and signs and signs != ["+"]:
        value = -value
    after = (found["after"] or "").strip()
    return Marked(value, before, after, bool(found["gap"]), bool(found["bracket"]))


def _value(digits: str, power: str, decimal: str) -> float | None:
    """Give the value of digits with a decimal mark and with marks of thousands."""
    whole, mark, fraction = digits.partition(decimal)
    if mark and not re.fullmatch(r"\d*", fraction):
        return None
    if not re.fullmatch(r"\d*", whole):
        if not _THOUSANDS.fullmatch(whole) or decimal in whole:
            return None
        whole = re.sub(r"\D", "", whole)
    number = float(f"{whole or '0'}.{fraction or '0'}{power}")
    return number if math.isfinite(number) else None


def evident_decimal(digits: str) -> str | None:
    """Tell which decimal mark a number can only have, by how its digits are grouped; None if either.

    >>> evident_decimal("1.234,5"), evident_decimal("1,234"), evident_decimal("0,500"), evident_decimal("1,2")
    (',', None, ',', ',')
    """
    marks = [mark for mark in digits if mark in ".,"]
    if not marks:
        return None
    last, others = marks[-1], set(marks[:-1])
    whole, _, fraction = digits.rpartition(last)
    if others - {last} or (not others and (len(fraction) != 3 or _stands_alone(whole))):
        return last
    if others and _THOUSANDS.fullmatch(digits):  # the same mark twice separates thousands
        return "," if last == "." else "."
    return None


def _stands_alone(whole: str) -> bool:
    """Tell whether digits can't be the first group of thousands."""
    bare = whole.lstrip("+-")
    return not bare or bare.startswith("0") or len(bare) > 3


@dataclass(frozen=True)
class Numbers:
    """A column of text read as numbers.

    Parameters
    ----------
    values
        Shape (B,), NaN where the text is no number.
    plain
        Whether the text is written as programs write numbers, shape (B,).
    """

    values: NDArray[np.float64]
    plain: NDArray[np.bool_]


def read_numbers(texts: pl.Series, decimal: str) -> Numbers:
    """Read texts as numbers, whatever marks they have; None gives NaN.

    Parameters
    ----------
    texts
        Column of text, shape (B,).
    decimal
        The decimal mark, ``.`` or ``,``.
    """
    stripped = texts.str.strip_chars()
    plain = stripped.str.contains(PLAIN if decimal == "." else _COMMA).fill_null(False).to_numpy()
    written = stripped if decimal == "." else stripped.str.replace(",", ".", literal=True)
    values = written.str.strip_prefix("+").cast(pl.Float64, strict=False).to_numpy().copy()
    values[~plain] = np.nan
    for place in np.flatnonzero(plain & np.isnan(values)).tolist():  # digits of other scripts
        values[place] = float(written[place])
    others = np.flatnonzero(~plain & texts.is_not_null().to_numpy())
    for row, text in zip(others.tolist(), texts.gather(others).to_list(), strict=True):
        found = marked(text, decimal)
        values[row] = math.nan if found is None or found.value is None else found.value
    values[np.isinf(values)] = np.nan
    return Numbers(values, plain)
