from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from caveat.training.data.files.read import read_table
from caveat.training.data.options import FileOptions
from caveat.training.errors import DataError

NOON = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def test_types_become_text_or_numbers(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "whole": [1, None],
            "part": [0.5, float("nan")],
            "yes": [True, None],
            "day": [date(2026, 3, 1), None],
            "moment": [NOON.replace(tzinfo=None), None],
            "abroad": pl.Series([NOON, None]).dt.convert_time_zone("Asia/Tokyo"),
            "hour": [time(12, 30), None],
            "kind": pl.Series(["a", None], dtype=pl.Categorical),
            "price": [Decimal("1.50"), None],
            "id": pl.Series([Decimal(10**19), None], dtype=pl.Decimal(38, 0)),
            "far": pl.Series([10**16, None]).cast(pl.Datetime("ms")),
            "none": [None, None],
            "list": [[1], None],
            "span": [timedelta(days=1), None],
            "bytes": [b"a", None],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", FileOptions())
    assert {name: values[0] for name, values in table.columns.items()} == {
        "whole": 1,
        "part": 0.5,
        "yes": "true",
        "day": "2026-03-01",
        "moment": "2026-03-01T12:30:00",
        "abroad": "2026-03-01T12:30:00",
        "hour": "12:30:00",
        "kind": "a",
        "price": 1.5,
        "id": "10000000000000000000",
        "far": None,
        "none": None,
        "list": None,
        "span": None,
        "bytes": None,
    }
    assert all(values[1] is None for values in table.columns.values())
    assert table.dated == {"day", "moment", "abroad", "hour", "far"}
    assert list(table.unreadable or {}) == ["far", "list", "span", "bytes"]
    assert table.place(1, "day") == f"{tmp_path / 't.parquet'}: row 2: column 'day'"


def test_a_broken_file_and_one_without_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_bytes(b"PAR0")
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "none.parquet")
    for name, message in (("no", "parquet"), ("none", "no rows")):
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / f"{name}.parquet", FileOptions())
    for option in ("separator", "encoding"):
        with pytest.raises(DataError, match=f"--{option} goes with text"):
            read_table(tmp_path / "no.parquet", FileOptions.model_validate({option: "utf-8"}))
