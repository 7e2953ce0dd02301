"""Columns of categories: spellings of one category, missing ones, and those that are too many."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import polars as pl

from caveat.models.bundles.features import Feature
from caveat.models.bundles.spelling import folded, tidy
from caveat.training.data.columns.column import Column, Doubt, Read, flag, quoted, share_missing

MOST: Final = 1000
"""Most categories of a column, each of which becomes an input of the network."""

LONGEST: Final = 1000
"""Most characters of a category."""

_LISTED: Final = 6


def texts_of(values: pl.Series) -> pl.Series:
    """Write values as text, whole numbers without a fraction."""
    if values.dtype == pl.String:
        return values
    if values.dtype.is_float():
        numbers = values.drop_nulls().to_numpy()
        whole = (numbers == np.floor(numbers)).all() and (np.abs(numbers) < 2.0**63).all()
        return values.cast(pl.Int64).cast(pl.String) if whole else values.cast(pl.String)
    return values.cast(pl.String)


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
    if len(names) > (MOST if stated else min(MOST, rows - 1)):
        what = "each row has its own text" if len(names) == rows else f"{len(names):,} different texts"
        expected = f"expected at most {MOST:,} categories" + ("" if stated else ", some in several rows")
        return Doubt(column.name, f"{what}, such as {quoted(names, 2)} ({expected})", "drop")
    code = {name: float(number) for number, name in enumerate(names)}
    values = texts.replace_strict(
        {text: code[name] for text, name in category.items()}, return_dtype=pl.Float64
    )
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    words = (
        f"{len(names):,} {'category' if len(names) == 1 else 'categories'}: {listed}{share_missing(texts)}"
    )
    if len(names) == 1 and not texts.null_count():
        notes = (*notes, f"is constant; {flag('drop', column.name)} spares clients to send it")
    feature = Feature(name=column.name, categories=tuple(names), missing=texts.null_count() > 0, other=unseen)
    told = tuple(f"{column.name!r}: {note}" for note in notes)
    return Read(feature, values.fill_null(np.nan).to_numpy(), words, told)
