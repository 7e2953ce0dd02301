"""Columns of dates and times."""

import numpy as np
import polars as pl

from caveat.models.bundles.days import day_named
from caveat.models.bundles.features import Feature
from caveat.training.data.columns.categorical import texts_of
from caveat.training.data.columns.column import Column, Doubt, Read, commonest, quoted, share_missing
from caveat.training.data.columns.numeric import NEARLY_ALL
from caveat.training.data.dates import day_of, forms_of


def as_dates(column: Column, form: str | None) -> Read | Doubt:
    """Read a column as dates or times because its owner said so; the few that are none count as missing.

    Parameters
    ----------
    column
        The column.
    form
        The form that its owner stated.
    """
    texts = texts_of(column.values).str.strip_chars()
    different = commonest(texts)
    forms = [form] if form is not None else forms_of(different, NEARLY_ALL)
    if _differ(different, forms):
        return _of_two_forms(column, different, forms)
    days = dict(zip(different, _read(different, forms[0]), strict=True)) if forms else {}
    if sum(day is not None for day in days.values()) < NEARLY_ALL * len(different) or not days:
        as_form = f"of the form {form}" if form else "in a form that is known here"
        reason = f"has no dates {as_form}: {quoted(different)}; --dates can state a form"
        return Doubt(column.name, reason, "drop")
    values = texts.replace_strict(days, return_dtype=pl.Float64)
    first, last = (day_named(float(day)) for day in np.nanquantile(values.to_numpy(), (0, 1)))
    odd = [text for text, day in days.items() if day is None]
    notes = (f"{column.name!r}: {quoted(odd)} are no dates and count as missing",) if odd else ()
    words = f"dates from {first} to {last}{share_missing(values)}"
    feature = Feature(name=column.name, dates=forms[0], missing=values.null_count() > 0)
    return Read(feature, values.fill_null(np.nan).to_numpy(), words, notes)


def doubted(column: Column) -> Doubt | None:
    """Doubt a column whose values are dates or times, which its owner did not say."""
    different = commonest(texts_of(column.values).str.strip_chars())
    forms = forms_of(different, NEARLY_ALL)
    if column.dated or forms:
        if _differ(different, forms):
            return _of_two_forms(column, different, forms)
        return Doubt(column.name, f"holds dates or times, such as {quoted(different, 1)}", "dates")
    return None


def _of_two_forms(column: Column, texts: list[str], forms: list[str]) -> Doubt:
    first, second, *_ = forms
    reason = f"holds dates such as {texts[0]!r}, which can be read as {first} and as {second}"
    return Doubt(column.name, reason, "dates", f"{column.name}={first}")


def _differ(texts: list[str], forms: list[str]) -> bool:
    return len(forms) > 1 and _read(texts, forms[0]) != _read(texts, forms[1])


def _read(texts: list[str], form: str) -> list[float | None]:
    return [day_of(text, form) for text in texts]
