import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Provenance
from caveat.models.bundles.signature import Input
from caveat.training.data.options import HeldOutOptions
from caveat.training.errors import DataError
from caveat.training.held_out import HeldOut, read_held_out, read_rows
from tests.bundles import drawn, linear_regression, linear_targets, tabular

TABLE = tabular().manifest
ARRAYS = linear_regression().manifest


def test_arrays_are_read(tmp_path: Path) -> None:
    inputs, truth = drawn(ARRAYS, 5, 0)
    np.savez(tmp_path / "rows.npz", x=inputs["x"], y=truth)
    found, y, _ = read_held_out(tmp_path / "rows.npz", ARRAYS)
    np.testing.assert_array_equal(found["x"], inputs["x"])
    np.testing.assert_array_equal(y, truth)


@pytest.mark.parametrize("y", [[0, 1, 1], ["no", "yes", "yes"]])
def test_classes_are_read_by_name_or_number(tmp_path: Path, y: list[int] | list[str]) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((3, 3)), y=y)
    manifest = TABLE.model_copy(update={"inputs": ARRAYS.inputs})
    assert read_held_out(tmp_path / "rows.npz", manifest).y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 3))}, "has the arrays x; expected x and y"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, "expected numbers of shape"),
        ({"x": np.zeros((3, 3)), "y": np.zeros(2)}, r"y has shape \(2,\); expected one truth for each of 3"),
        ({"x": np.zeros((3, 3)), "y": np.array(["a"] * 3)}, "holds text; a regression needs numbers"),
        ({"x": np.zeros((3, 3)), "y": np.array([0, np.nan, 1])}, r"y\[1\]: expected finite numbers, got nan"),
        (
            {"x": np.zeros((3, 3)), "y": np.array([0, 1, -np.inf])},
            r"y\[2\]: expected finite numbers, got -inf",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "rows.npz", **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
    with pytest.raises(DataError, match=message):
        read_held_out(tmp_path / "rows.npz", ARRAYS)


def test_a_table_is_read_by_its_columns(tmp_path: Path) -> None:
    names = [feature.name for feature in TABLE.inputs[0].features or ()]
    categories = next(each.categories for each in TABLE.inputs[0].features or () if each.categories)
    values = dict.fromkeys(names, "1") | {names[1]: categories[0]}
    manifest = TABLE.model_copy(update={"target": "bought"})
    lines = [",".join(["extra", *values, "bought"]), ",".join(["9", *values.values(), "yes"])]
    (tmp_path / "rows.csv").write_text("\n".join(lines * 1 + [lines[1].replace("yes", "no")]))
    inputs, y, _ = read_held_out(tmp_path / "rows.csv", manifest)
    assert inputs["x"].tolist() == [[1, 0, 1]] * 2
    assert y.tolist() == [1, 0]
    (tmp_path / "asked.csv").write_text("\n".join([",".join(values), ",".join(values.values())]))
    assert read_rows(tmp_path / "asked.csv", manifest)["x"].tolist() == [[1, 0, 1]]
    with pytest.raises(DataError, match="has no column bought, the truths"):
        read_held_out(tmp_path / "asked.csv", manifest)
    (tmp_path / "short.csv").write_text("age,bought\n1,yes\n")
    with pytest.raises(DataError, match="no column"):
        read_held_out(tmp_path / "short.csv", manifest)
    with pytest.raises(DataError, match=r"this model takes arrays; expected \.npz"):
        read_held_out(tmp_path / "rows.csv", ARRAYS)


def test_the_truths_of_several_targets_are_read(tmp_path: Path) -> None:
    manifest = linear_targets().manifest
    inputs, truth = drawn(manifest, 5, 0)
    np.savez(tmp_path / "rows.npz", x=inputs["x"], y=truth)
    np.testing.assert_array_equal(read_held_out(tmp_path / "rows.npz", manifest).y, truth)
    np.savez(tmp_path / "one.npz", x=inputs["x"], y=truth[:, 0])
    with pytest.raises(DataError, match=r"shape \(5,\); expected one truth for each of 5 rows and 2 targets"):
        read_held_out(tmp_path / "one.npz", manifest)
    named = manifest.model_copy(update={"inputs": TABLE.inputs})
    lines = ["age,large,smoker,dose,small", "61,1000,yes,1,-2.5", "30,2000,no,2,3.5"]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    assert read_held_out(tmp_path / "rows.csv", named)[1].tolist() == [[-2.5, 1000], [3.5, 2000]]


def test_unknown_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_held_out(tmp_path / "none.npz", ARRAYS)
    (tmp_path / "rows.xls").write_text("x")
    with pytest.raises(DataError, match=r"unknown type '\.xls'; expected \.csv, \.tsv"):
        read_held_out(tmp_path / "rows.xls", ARRAYS)
    (tmp_path / "broken.npz").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"expected \.npz with arrays"):
        read_held_out(tmp_path / "broken.npz", ARRAYS)


def table(tmp_path: Path, *lines: str, **options: Any) -> HeldOut:
    (tmp_path / "t.csv").write_text("\n".join(lines))
    return read_held_out(tmp_path / "t.csv", GRADES, HeldOutOptions.model_validate(options))


GRADES = TABLE.model_copy(
    update={
        "inputs": (
            Input(
                name="x",
                dtype="float64",
                shape=("rows", 4),
                features=(
                    Feature(name="grade", categories=("1", "2", "A")),
                    Feature(name="known", categories=("False", "True", "unknown")),
                    Feature(name="cost", missing=True, unit="$"),
                    Feature(name="since", dates="%d.%m.%Y"),
                ),
            ),
        ),
        "target": "code",
        "classes": ("01", "02"),
    }
)


def test_columns_are_read_as_the_model_says_whatever_their_own_values_are(tmp_path: Path) -> None:
    """A file with grades 1 and 2 alone holds no numbers, and one of True and False no booleans."""
    inputs, y, notes = table(
        tmp_path,
        "grade,known,cost,since,code",
        '1,True,"$1,200",02.01.1970,01',
        "2,False,NA,1970-01-03,02",
        "2,False,7,03.01.1970,",
    )
    np.testing.assert_array_equal(inputs["x"], [[0, 1, 1200, 1], [1, 0, np.nan, 2]])
    assert (y.tolist(), notes) == (
        [0, 1],
        (f"1 rows of {tmp_path / 't.csv'} have no truth and are left out",),
    )


def test_types_of_a_file_do_not_hide_categories(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "grade": [1.0, 2.0],
            "known": [True, None],
            "cost": [float("nan"), None],
            "since": [date(1970, 1, 2)] * 2,
        }
    )
    frame = frame.with_columns(known=pl.col("known").fill_null(False), code=pl.Series(["02", "01"]))
    frame.write_parquet(tmp_path / "t.parquet")
    inputs, y, _ = read_held_out(tmp_path / "t.parquet", GRADES)
    np.testing.assert_array_equal(inputs["x"], [[0, 1, np.nan, 1], [1, 0, np.nan, 1]])
    assert y.tolist() == [1, 0]
    (tmp_path / "t.jsonl").write_text(
        '{"grade": 1.0, "known": true, "cost": null, "since": "1970-01-02", "code": "02"}'
    )
    assert read_rows(tmp_path / "t.jsonl", GRADES)["x"].tolist()[0][:2] == [0, 1]


HEADER = "grade,known,cost,since,code"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "1,True,many,1970-01-02,01",
            r"t\.csv: line 3: column 'cost': expected a number, in \$, got 'many'; --numeric",
        ),
        ("B,True,1,1970-01-02,01", r"line 3: column 'grade': expected one of \"1\", \"2\", \"A\", got \"B\""),
        (",True,1,1970-01-02,01", "line 3: column 'grade': expected one of .*, got"),
        ("1,True,1,soon,01", "line 3: column 'since': expected a date or time"),
        ("1,True,VS1,1970-01-02,01", r"line 3: column 'cost': expected a number, in \$, got 'VS1'"),
        ("1,True,1,1970-01-02,03", "y holds 03; the classes are 01, 02"),
        ("1,True,1,1970-01-02,01,9", "line 3 has 6 values, the header has 5"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_line(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        table(tmp_path, HEADER, "1,True,1,1970-01-02,01", line)


def test_all_lines_with_unknown_categories_are_named(tmp_path: Path) -> None:
    row = "1,True,1,1970-01-02,01"
    with pytest.raises(DataError, match=r'got "B"; 2 lines do not fit: 3, 5$'):
        table(tmp_path, HEADER, row, row.replace("1", "B", 1), row, row.replace("1", "C", 1))


def test_the_owner_may_say_how_a_file_is_read(tmp_path: Path) -> None:
    row = "1,True,many,1970-01-02,01"
    assert np.isnan(
        table(tmp_path, HEADER, row, row.replace("many", "3"), numeric=["cost"]).inputs["x"][0, 2]
    )
    semicolons = [line.replace(",", ";") for line in (HEADER, row.replace("many", "1.200"))]
    assert table(tmp_path, *semicolons, decimal=",").inputs["x"][0, 2] == 1200
    assert table(tmp_path, *semicolons, decimal=".").inputs["x"][0, 2] == 1.2
    with pytest.raises(
        DataError, match=r"column 'cost': has numbers such as .*\(--decimal \. or --decimal ,\)"
    ):
        table(tmp_path, *semicolons)
    numbered = GRADES.model_copy(update={"classes": ("1", "2")})
    (tmp_path / "n.csv").write_text(f"{HEADER}\n1,True,1,1970-01-02,1\n")
    with pytest.raises(DataError, match="say --labels names or --labels indices"):
        read_held_out(tmp_path / "n.csv", numbered)
    for labels, expected in (("names", 0), ("indices", 1)):
        options = HeldOutOptions.model_validate({"labels": labels})
        assert read_held_out(tmp_path / "n.csv", numbered, options).y.tolist() == [expected]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.array([b"no", b"yes"]),
            r"y is \|S3 of shape \(2,\); expected numbers, booleans or text; convert",
        ),
        (np.array(["2026-01-01"] * 2, "M8[D]"), r"y is datetime64\[D\] of shape \(2,\)"),
        (np.array([1j, 2]), "y is complex128"),
        (np.array([object()] * 2), "y: Object arrays cannot be loaded"),
        (np.zeros((2, 2), int), "y has shape"),
    ],
)
def test_truths_of_other_types_are_refused_with_their_type(y: Any, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.zeros((2, 3)), y=y)
    with pytest.raises(DataError, match=message):
        read_held_out(tmp_path / "t.npz", TABLE.model_copy(update={"inputs": ARRAYS.inputs}))


@pytest.mark.parametrize("value", ["5 kg", "7 %", "€5"])
def test_numbers_of_another_unit_than_in_training_are_refused(value: str, tmp_path: Path) -> None:
    row = f"1,True,{value},1970-01-02,01"
    with pytest.raises(DataError, match=r"line 2: column 'cost': expected a number, in \$, got"):
        table(tmp_path, HEADER, row, row)
    assert np.isnan(table(tmp_path, HEADER, row, numeric=["cost"]).inputs["x"][0, 2])


def test_decimal_marks_are_those_of_training(tmp_path: Path) -> None:
    trained = GRADES.model_copy(update={"provenance": Provenance(data={"decimals": {"cost": ","}})})
    (tmp_path / "t.csv").write_text(f'{HEADER}\n1,True,"1,250",1970-01-02,01\n')
    assert read_held_out(tmp_path / "t.csv", trained).inputs["x"][0, 2] == 1.25
    assert read_held_out(tmp_path / "t.csv", GRADES).inputs["x"][0, 2] == 1250


def test_what_is_no_date_is_missing_where_the_owner_says_so(tmp_path: Path) -> None:
    since = Feature(name="since", dates="%Y%m%d", missing=True)
    spec = GRADES.inputs[0]
    gaps = spec.model_copy(update={"features": (*(spec.features or ())[:3], since)})
    manifest = GRADES.model_copy(update={"inputs": (gaps,)})
    (tmp_path / "t.csv").write_text(f"{HEADER}\n1,True,1,soon,01\n1,True,1,19700102,01\n")
    with pytest.raises(
        DataError, match=r"line 2: column 'since': expected a date.*; --dates since takes what"
    ):
        read_held_out(tmp_path / "t.csv", manifest)
    found = read_held_out(tmp_path / "t.csv", manifest, HeldOutOptions(dates=("since",)))
    np.testing.assert_array_equal(found.inputs["x"][:, 3], [np.nan, 1])
    frame = pl.read_csv(tmp_path / "t.csv").tail(1).with_columns(since=19700102, code=pl.lit("01"))
    frame.write_parquet(tmp_path / "t.parquet")
    assert read_held_out(tmp_path / "t.parquet", manifest).inputs["x"][0, 3] == 1


def test_lists_are_refused_also_where_values_may_be_missing(tmp_path: Path) -> None:
    row = {"grade": "1", "known": True, "cost": [1], "since": "1970-01-02", "code": "01"}
    (tmp_path / "t.json").write_text(json.dumps([row]))
    with pytest.raises(DataError, match="column 'cost': holds lists; expected numbers or text"):
        read_held_out(tmp_path / "t.json", GRADES)
