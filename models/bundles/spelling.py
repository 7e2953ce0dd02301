"""How texts of categories are compared, and which texts stand for a missing value."""

import unicodedata
from collections.abc import Iterable
from typing import Final

MISSING: Final = frozenset(
    ["", "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "null", "none", "nat", "?"]
)
"""Spellings of a missing value, in lower case: those that pandas reads as one, and ``?`` of the UCI sets."""

_LONGEST: Final = 32

_INVISIBLE: Final = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))  # blanks without a width


def tidy(text: str) -> str:
    r"""Write a text on one line, without blanks around it and with single ones inside.

    Letters with accents become one character each (Unicode's form NFC), so that equal texts look equal.

    >>> tidy(" natural\n gas ")
    'natural gas'
    """
    return " ".join(unicodedata.normalize("NFC", text.translate(_INVISIBLE)).split())


def folded(text: str) -> str:
    """Give what texts have in common that differ in blanks and in capital letters alone.

    >>> folded("Gas ") == folded("gas")
    True
    """
    return tidy(text).casefold()


def is_missing(text: str) -> bool:
    """Tell whether a text stands for a missing value.

    >>> is_missing(" N/A"), is_missing("0")
    (True, False)
    """
    text = text.strip()
    return len(text) <= _LONGEST and folded(text) in MISSING


def unambiguous(texts: Iterable[str]) -> dict[str, str]:
    """Give the text for each folded spelling that only one of the texts has.

    >>> unambiguous(["Gas", "oil", "OIL"])
    {'gas': 'Gas'}
    """
    found: dict[str, str | None] = {}
    for text in texts:
        key = folded(text)
        found[key] = None if key in found else text
    return {key: text for key, text in found.items() if text is not None}
