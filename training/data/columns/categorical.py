"""Columns of categories: spellings of one category, missing ones, and those that are too many."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import polars as pl

from caveat.models.bundles.features import Feature
from caveat.models.bundles.spelling import folded, tidy
from caveat.models.bundles.words import shortened
from caveat.training.data.columns.column import (
    MOST_CATEGORIES,
    Column,
    Doubt,
    Read,
    flag,
    quoted,
    share_missing,
)
from caveat.training.data.files.raw import LONGEST

_LISTED: Final = 6

_NEARLY_EACH: Final = 0.9
"""Fraction of the rows with a text of their own from which on a column names the rows."""


def texts_of(values: pl.Series) -> pl.Series:
    """Write values as text, whole numbers without a fraction, as the service reads them."""
    if values.dtype == pl.String:
        return values
    if not values.dtype.is_float():
        return values.cast(pl.String)
    numbers = values.drop_nulls().unique().to_list()
    texts = {number: str(int(number)) if number.is_integer() else repr(number) for number in numbers}
    return values.replace_strict(texts, return_dtype=pl.String)


def merged(texts: pl.Series, kept_apart: bool) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Find the category of each text: texts that differ in blanks or capital letters alone are one.

    Parameters
    ----------
    texts
        Texts, null where one is missing.
    kept_apart
        Whether capital letters tell categories apart.

    Returns
    -------
    category, merged
        The commonest spelling for each text; and, in words, what was merged.
    """
    counts = texts.drop_nulls().alias("text").value_counts().sort(["count", "text"], descending=[True, False])
    key: Callable[[str], str] = tidy if kept_apart else folded
    groups: dict[str, list[str]] = defaultdict(list)
    for text in counts["text"].to_list():
        groups[key(text)].append(text)
    category = {text: tidy(group[0]) for group in groups.values() for text in group}
    several = [group for group in groups.values() if len(group) > 1]
    return category, tuple(f"{quoted(group, 4)} are read as {tidy(group[0])!r}" for group in several)


def as_categories(column: Column, unseen: bool, *, stated: bool) -> Read | Doubt:
    """Read a column as categories.

    Parameters
    ----------
    column
        The column.
    unseen
        Whether the service shall take categories that are not in the column.
    stated
        Whether its owner said that it holds categories: capital letters then tell them apart, and each row
        may have its own.
    """
    texts = texts_of(column.values)
    category, notes = merged(texts, stated)
    names = sorted(set(category.values()))
    rows = len(texts) - texts.null_count()
    longest = max(names, key=len)
    if len(longest) > LONGEST:
        return Doubt(column.name, f"has a text of {len(longest):,} characters: {quoted([longest])}", "drop")
    naming = not stated and len(names) >= _NEARLY_EACH * rows
    if naming or len(names) > MOST_CATEGORIES:
        what = f"has {len(names):,} different texts in {rows:,} rows, such as {quoted(names, 2)}"
        limit = "as names have" if naming else f"and at most {MOST_CATEGORIES:,} can be categories"
        return Doubt(column.name, f"{what}, {limit}", "drop")
    code = {name: float(number) for number, name in enumerate(names)}
    values = texts.replace_strict(
        {text: code[name] for text, name in category.items()}, return_dtype=pl.Float64
    )
    listed = ", ".join(shortened(name) for name in names[:_LISTED]) + (
        ", ..." if len(names) > _LISTED else ""
    )
    words = (
        f"{len(names):,} {'category' if len(names) == 1 else 'categories'}: {listed}{share_missing(texts)}"
    )
    if len(names) == 1 and not texts.null_count():
        notes = (*notes, f"is constant; {flag('drop', column.name)} spares clients to send it")
    feature = Feature(name=column.name, categories=tuple(names), missing=texts.null_count() > 0, other=unseen)
    told = tuple(f"{column.name!r}: {note}" for note in notes)
    return Read(feature, values.fill_null(np.nan).to_numpy(), words, told)
