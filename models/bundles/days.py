"""Dates and times as numbers: days since 1970."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)
_FIRST: Final = _EPOCH.toordinal()
_DAY: Final = 86_400


def days_of(text: str, form: str | None = None) -> float:
    """Read a date, a time, or both, as days since 1970-01-01; a time alone is one of that day.

    Parameters
    ----------
    text
        A text in the form, or as ISO 8601 writes it, such as ``2026-03-01``, ``2026-03-01T12:30:00Z`` or
        ``12:30``. What has no offset is taken for UTC.
    form
        A format of `datetime.datetime.strptime`, such as ``%d/%m/%Y``.

    Raises
    ------
    ValueError
        If the text is neither.

    Examples
    --------
    >>> days_of("1970-01-02T12:00+12:00"), days_of("06:00"), days_of("3/1/1970", "%d/%m/%Y")
    (1.0, 0.25, 2.0)
    """
    moment = _moment(text.strip(), form)
    seconds = (moment.toordinal() - _FIRST) * _DAY + moment.hour * 3600 + moment.minute * 60 + moment.second
    if moment.tzinfo is not None:
        offset = moment.utcoffset() or timedelta()
        return (seconds + moment.microsecond / 1e6 - offset.total_seconds()) / _DAY
    return (seconds + moment.microsecond / 1e6) / _DAY


def check_form(form: str) -> None:
    """Refuse a form of dates by which no date can be read back.

    Raises
    ------
    ValueError
        Naming the form.
    """
    written = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC).strftime(form)
    try:
        datetime.strptime(written, form)
    except (ValueError, re.error) as error:
        raise ValueError(f"{form!r} is no form of dates: {error}") from None


def _moment(text: str, form: str | None) -> datetime:
    if form is not None:
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            pass
        else:
            return moment if _has_date(form) else datetime.combine(_EPOCH, moment.timetz())
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        if ":" not in text:  # of a time alone, 2012 would be twelve minutes past eight
            raise
        return datetime.combine(_EPOCH, time.fromisoformat(text))


def _has_date(form: str) -> bool:
    return any(code in form for code in ("%Y", "%y", "%m", "%d", "%j", "%b", "%B", "%c", "%x", "%G"))


def day_named(days: float) -> str:
    """Write days since 1970-01-01 as ISO 8601 does, a whole day without a time.

    >>> day_named(1.5), day_named(2.0)
    ('1970-01-02T12:00:00', '1970-01-03')
    """
    moment = _EPOCH + timedelta(seconds=round(days * _DAY))
    return moment.date().isoformat() if moment.time() == time.min else moment.isoformat()
