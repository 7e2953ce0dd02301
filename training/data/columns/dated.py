"""Columns of dates and times."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

from caveat.models.bundles.days import day_named
from caveat.models.bundles.features import ISO, Feature
from caveat.training.data.columns.categorical import texts_of
from caveat.training.data.columns.column import Column, Doubt, Read, flag, quoted, share_missing
from caveat.training.data.columns.numeric import NEARLY_ALL
from caveat.training.data.dates import day_of, forms_of

_TODAY: Final = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days


def as_dates(column: Column, form: str | None) -> Read | Doubt:
    """Read a column as dates or times because its owner said so; the few that are none count as missing.

    Parameters
    ----------
    column
        The column.
    form
        The form that its owner stated.
    """
    counts = counts_of(column)
    forms = [form] if form is not None else forms_of(counts, NEARLY_ALL)
    if _differ(counts, forms):
        return _of_two_forms(column, counts, forms)
    days = _days(counts, forms[0]) if forms else {}
    fitting = sum(counts[text] for text, day in days.items() if day is not None)
    if not forms or fitting < NEARLY_ALL * sum(counts.values()):
        as_form = f"of the form {form}" if form else "in a form that is known here"
        reason = f"has no dates {as_form}: {quoted(counts)}; {flag('dates', column.name)}=FORM states another"
        return Doubt(column.name, reason, "drop")
    texts = texts_of(column.values).str.strip_chars()
    values = texts.replace_strict(days, return_dtype=pl.Float64)
    first, last = (float(day) for day in np.nanquantile(values.to_numpy(), (0, 1)))
    notes = []
    odd = [text for text, day in days.items() if day is None]
    if odd:
        notes.append(f"{column.name!r}: {quoted(odd)} count as missing, as they are no dates")
    if "%y" in forms[0] and last > _TODAY:
        notes.append(
            f"{column.name!r}: years of two digits are read as 1969 to 2068; write them with four in the "
            "file if others are meant"
        )
    what = "times" if first >= 0 and last < 1 else "dates"
    words = f"{what} from {_named(first, what)} to {_named(last, what)}{share_missing(values)}"
    feature = Feature(name=column.name, dates=forms[0], missing=values.null_count() > 0)
    return Read(feature, values.fill_null(np.nan).to_numpy(), words, tuple(notes))


def doubted(column: Column) -> Doubt | None:
    """Doubt a column whose values are dates or times, which its owner did not say."""
    counts = counts_of(column)
    forms = forms_of(counts, NEARLY_ALL)
    if _differ(counts, forms):
        return _of_two_forms(column, counts, forms)
    if not column.dated and not forms:
        return None
    example = next(
        (text for text in counts if forms and day_of(text, forms[0]) is not None), next(iter(counts))
    )
    reason = f"holds dates or times, such as {example!r}"
    if not column.dated:
        reason += f"; {flag('categorical', column.name)} takes them for texts"
    return Doubt(column.name, reason, "dates")


def counts_of(column: Column) -> dict[str, int]:
    """Count how often each text stands in a column, the commonest first."""
    counts = texts_of(column.values).str.strip_chars().drop_nulls().alias("text").value_counts()
    return dict(counts.sort(["count", "text"], descending=[True, False]).iter_rows())


def _of_two_forms(column: Column, counts: Mapping[str, int], forms: Sequence[str]) -> Doubt:
    first, second, *_ = forms
    text = next(iter(counts))
    reason = f"holds dates such as {text!r}, which can be read as {first} and as {second}"
    other = flag("dates", f"{column.name}={second}")
    return Doubt(column.name, f"{reason} ({other})", "dates", f"{column.name}={first}")


def _differ(counts: Mapping[str, int], forms: Sequence[str]) -> bool:
    return len(forms) > 1 and _days(counts, forms[0]) != _days(counts, forms[1])


def _days(texts: Mapping[str, int], form: str) -> dict[str, float | None]:
    return {text: day if (day := day_of(text, form)) is not None else day_of(text, ISO) for text in texts}


def _named(day: float, what: str) -> str:
    text = day_named(day)
    return (text.partition("T")[2] or "00:00:00") if what == "times" else text
