"""Dates and times in text: the forms in which a column may be written."""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import product
from typing import Final

from caveat.models.bundles.days import days_of
from caveat.models.bundles.features import ISO

_DAYS: Final = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%Y/%m", "%m/%Y"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%y/%m/%d"),
    *("%d.%m.%Y", "%d.%m.%y", "%y.%m.%d", "%m-%d-%Y", "%d-%m-%Y", "%m-%d-%y", "%d-%m-%y", "%y-%m-%d"),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%B %d %Y"),
    *("%d. %b %Y", "%d. %B %Y", "%a %b %d %Y", "%a, %d %b %Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y"),
)

_TIMES: Final = (
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %H:%M:%S %z", " %H:%M:%S UTC", "T%H:%M:%S"),
    *(" %I:%M %p", " %I:%M:%S %p"),
)

FORMS: Final = (
    ISO,
    *(day + time for time, day in product(_TIMES, _DAYS)),
    *("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%Y%m%d%H%M%S"),
)
"""Forms of dates and times that are recognised; a user may state any other."""

_COMPACT: Final = {"%Y%m%d": 8, "%Y%m%d%H%M%S": 14}
"""Forms without marks, with their lengths: `strptime` reads fewer digits as well."""

_FEW: Final = 8
_TRIED: Final = 200  # texts by which forms are ruled out, before all are read


def forms_of(counts: Mapping[str, int], least: float = 1.0) -> list[str]:
    """List the forms in which at least a fraction of texts can be read; ISO 8601 may be among them.

    Parameters
    ----------
    counts
        How often each text stands in the column.
    least
        The fraction.

    Examples
    --------
    >>> forms_of({"2026-03-01": 1}), forms_of({"3/31/2026": 1}), forms_of({"01/02/2026": 1})
    (['iso'], ['%m/%d/%Y'], ['%m/%d/%Y', '%d/%m/%Y'])
    """
    texts = list(counts)
    few = texts[:: max(1, len(texts) // _TRIED)]
    # A form that fits nearly all texts fits some of any few, which rules out nearly all forms.
    first = [text for text in few[:_FEW] if any(mark.isdigit() for mark in text)]
    forms = [form for form in FORMS if any(day_of(text, form) is not None for text in first)]
    forms = [form for form in forms if _share(dict.fromkeys(few, 1), form) >= least / 2]
    found = [form for form in forms if _share(counts, form) >= least]
    return [ISO] if ISO in found else found


def _share(counts: Mapping[str, int], form: str) -> float:
    fitting = sum(count for text, count in counts.items() if _either(text, form) is not None)
    return fitting / max(1, sum(counts.values()))


def _either(text: str, form: str) -> float | None:
    day = day_of(text, form)
    return day_of(text, ISO) if day is None and form != ISO else day


def day_of(text: str, form: str) -> float | None:
    """Read a text in a form, as days since 1970; None if it has another form.

    >>> day_of("2/1/1970", "%d/%m/%Y"), day_of("soon", "iso")
    (1.0, None)
    """
    try:
        if form == ISO:
            return days_of(text) if any(mark in text for mark in "-:T") else None  # years are numbers
        datetime.strptime(text, form)
        return days_of(text, form) if len(text) == _COMPACT.get(form, len(text)) else None
    except (ValueError, OverflowError, re.error):
        return None
