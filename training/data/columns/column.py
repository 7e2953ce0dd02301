"""A column of a table before and after it is known what it means."""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.features import Feature
from caveat.models.bundles.spelling import MISSING

_ORDINARY: Final = re.compile(r'[^\s\d\[{"-][^"]*$|\d+[^"\d.][^"]*$')

_WORDS: Final = ("true", "false", "null", "none")

MOST_CATEGORIES: Final = 1000
"""Most categories of a column, each of which becomes an input of the network."""


@dataclass(frozen=True)
class Column:
    """A column as it stands in a file.

    Parameters
    ----------
    name
        Its name.
    values
        Text or numbers, shape (B,); null where a value is missing.
    dated
        Whether the file itself says that the values are dates or times.
    nameless
        Whether the file gives no name for it.
    decimal
        The decimal mark of numbers in text.
    """

    name: str
    values: pl.Series
    dated: bool = False
    nameless: bool = False
    decimal: str = "."

    @property
    def textual(self) -> bool:
        """Whether the values are text."""
        return self.values.dtype == pl.String

    @property
    def known(self) -> pl.Series:
        """The values that are not missing."""
        return self.values.drop_nulls()


@dataclass(frozen=True)
class Read:
    """A column that is read.

    Parameters
    ----------
    feature
        Its part of the signature.
    values
        Values as the graphs take them, shape (B,).
    words
        How it was read, in words.
    notes
        What a person should know besides.
    """

    feature: Feature
    values: NDArray[np.float64]
    words: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A column that is no feature, with the reason."""

    name: str
    words: str


@dataclass(frozen=True)
class Doubt:
    """A column that can be read in several ways, or in none.

    Parameters
    ----------
    name
        The column.
    reason
        What stands in the way.
    option, value
        The option that most likely settles it, and what to give it; None if none does.
    """

    name: str
    reason: str
    option: str | None
    value: str = field(default="")

    @property
    def given(self) -> str:
        """What to give to the option."""
        return self.value or self.name


def without_missing(values: pl.Series, *, spelled: bool = True) -> pl.Series:
    """Put null where a text is blank or, if ``spelled``, stands for a missing value."""
    if values.dtype != pl.String:
        return values
    texts = list(MISSING) if spelled else [""]
    missing = values.str.strip_chars().str.to_lowercase().is_in(texts)
    return values.set(missing.fill_null(False), None)


def share_missing(values: pl.Series) -> str:
    """Say how many values are missing, if any are.

    >>> share_missing(pl.Series([1.0, None, 2.0, 3.0]))
    ', 1 missing (25 %)'
    """
    count = values.null_count()
    return f", {count:,} missing ({100 * count / len(values):.2g} %)" if count else ""


def quoted(texts: Iterable[object], most: int = 3) -> str:
    """List a few texts in quotes.

    >>> quoted(["a", "b", "c", "d"])
    "'a', 'b', 'c'"
    """
    shown = [str(text) for text, _ in zip(texts, range(most), strict=False)]
    return ", ".join(repr(text if len(text) <= 40 else text[:37] + "...") for text in shown)


def commonest(texts: pl.Series) -> list[str]:
    """List different texts, the commonest first."""
    counts = texts.drop_nulls().alias("text").value_counts()
    return counts.sort(["count", "text"], descending=[True, False])["text"].to_list()


def flag(option: str, *names: str) -> str:
    """Write an option with the names of columns, as a shell takes it.

    >>> print(flag("drop", "a", "b, c"))
    --drop 'a,"b, c"'
    """
    listed = ",".join(f'"{name}"' if "," in name else name for name in names)
    if any(not _ORDINARY.match(name) for name in names) or listed in _WORDS:
        listed = json.dumps(names, ensure_ascii=False)
    equals = "=" if listed.startswith("-") else " "
    return f"--{option}{equals}{shlex.quote(listed)}"
