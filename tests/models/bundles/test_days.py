import math
from datetime import UTC, datetime, timedelta

import pytest

from caveat.models.bundles.days import day_named, days_of


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1970-01-01", None, 0),
        ("1969-12-31", None, -1),
        (" 2026-03-01 ", None, 20513),
        ("20260301", None, 20513),
        ("2026-03-01T12:00", None, 20513.5),
        ("2026-03-01 12:00:00", None, 20513.5),
        ("2026-03-01T12:00:00Z", None, 20513.5),
        ("2026-03-01T12:00+06:00", None, 20513.25),
        ("2026-03-01T00:00-12:00", None, 20513.5),
        ("2026-03-01T12:00:00.250", None, 20513.5 + 0.25 / 86_400),
        ("06:00", None, 0.25),
        ("06:00:00+06:00", None, 0),
        ("18:00", "%H:%M", 0.75),
        ("6 PM", "%I %p", 0.75),
        ("1/3/2026", "%d/%m/%Y", 20513),
        ("1/3/26 18:00", "%d/%m/%y %H:%M", 20513.75),
        ("060", "%j", -25508),  # without a year, of 1900, as strptime has it
        ("1/3/2026 06:00 +0600", "%d/%m/%Y %H:%M %z", 20513),
        ("2026-03-01", "%d/%m/%Y", 20513),  # ISO 8601 is always read
        ("0001-01-01", None, -719162),
        ("0001-01-01T00:00+14:00", None, -719162 - 14 / 24),
        ("9999-12-31T23:59:59-14:00", None, 2932896 + (86_399 + 14 * 3600) / 86_400),
    ],
)
def test_a_date_is_its_days_since_1970(text: str, form: str | None, expected: float) -> None:
    assert days_of(text, form) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "today",
            "2026",
            "2026-3-1",
            "2026-02-30",
            "1/3/2026",
            "12",
            "1230",
            "25:00",
            "12:60",
            "1:2:3:4",
        ),
        *(
            "2026-03-01T",
            "2026-03-01T25:00",
            "10000-01-01",
            "2026-03-01T12:00+99:00",
            "1e5",
            "\x00",
            "9" * 5000,
        ),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        days_of(text)
    with pytest.raises(ValueError, match=r"."):
        days_of(text, "%d.%m.%Y")


def test_a_date_in_another_order_than_the_form_is_refused() -> None:
    assert days_of("3/12/2026", "%d/%m/%Y") == days_of("2026-12-03")
    with pytest.raises(ValueError, match="3/13/2026"):
        days_of("3/13/2026", "%d/%m/%Y")


@pytest.mark.parametrize("days", [0, -1, 20513, 20513.5, -719162, 2932896, 0.25, -0.5, 20513 + 1 / 86_400])
def test_a_day_is_named_as_it_is_read(days: float) -> None:
    assert math.isclose(days_of(day_named(days)), days, rel_tol=0, abs_tol=1e-6)


def test_a_second_is_a_second() -> None:
    moment = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1)
    assert days_of(moment.isoformat()) == expected
    assert day_named(expected) == "2026-03-01T12:30:15"


@pytest.mark.parametrize("days", [-719163.0, 2932897.0, -1e300])
def test_a_day_that_no_calendar_holds_is_an_error(days: float) -> None:
    with pytest.raises(OverflowError):
        day_named(days)
