"""Dates and times in text: the forms in which a column may be written."""

from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Final

from caveat.models.bundles.days import days_of
from caveat.models.bundles.features import ISO

_DAYS: Final = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%Y/%m"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y"),
    *("%d.%m.%Y", "%d.%m.%y", "%m-%d-%Y", "%d-%m-%Y", "%m-%d-%y", "%d-%m-%y"),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%B %d %Y"),
    *("%a %b %d %Y", "%a, %d %b %Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y"),
)

_TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")

FORMS: Final = (
    ISO,
    *(day + time for time, day in product(_TIMES, _DAYS)),
    "%H:%M",
    "%H:%M:%S",
    "%I:%M %p",
    "%I:%M:%S %p",
)
"""Forms of dates and times that are recognised; a user may state any other."""

_COMPACT: Final = "%Y%m%d"
_COMPACT_LENGTH: Final = 8  # `strptime` reads fewer digits as well

_TRIED: Final = 200  # texts by which forms are ruled out, before all are read


def forms_of(texts: Sequence[str], least: float = 1.0) -> list[str]:
    """List the forms in which at least a fraction of different texts can be read.

    >>> forms_of(["2026-03-01"]), forms_of(["3/31/2026"]), forms_of(["01/02/2026"])
    (['iso'], ['%m/%d/%Y'], ['%m/%d/%Y', '%d/%m/%Y'])
    """
    few = texts[:: max(1, len(texts) // _TRIED)]
    if sum(any(mark.isdigit() for mark in text) for text in few) < least / 2 * len(few):
        return []
    if _share(few, ISO) >= least / 2 and _share(texts, ISO) >= least:
        return [ISO]
    # A form that fits nearly all texts fits half of any few hundred, and this rules out nearly all forms.
    tried = [form for form in FORMS if _share(few, form) >= least / 2]
    return [form for form in tried if _share(texts, form) >= least]


def _share(texts: Sequence[str], form: str) -> float:
    return sum(day_of(text, form) is not None for text in texts) / max(1, len(texts))


def day_of(text: str, form: str) -> float | None:
    """Read a text in a form, as days since 1970; None if it has another form.

    >>> day_of("2/1/1970", "%d/%m/%Y"), day_of("soon", "iso")
    (1.0, None)
    """
    try:
        if form == ISO:
            return days_of(text) if any(mark in text for mark in "-:") else None  # years are numbers
        datetime.strptime(text, form)
        return days_of(text, form) if form != _COMPACT or len(text) == _COMPACT_LENGTH else None
    except (ValueError, OverflowError):
        return None
