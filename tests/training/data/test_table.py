import csv
import shlex
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from caveat.models.bundles.features import Feature
from caveat.training.data.options import TableOptions
from caveat.training.data.table import read_table
from caveat.training.errors import DataError
from caveat.training.vocabulary import Task

ROWS = 30
PLAIN = TableOptions()
FRAME: dict[str, list[Any]] = {
    "age": list(range(ROWS)),
    "weight": [0.5 * i for i in range(ROWS)],
    "smoker": [i % 3 == 0 for i in range(ROWS)],
    "city": ["oslo", "bern", "rome"] * 10,
    "risk": ["high", "low"] * 15,
}


def write(folder: Path, suffix: str = ".csv", **changes: list[Any]) -> Path:
    path = folder / f"patients{suffix}"
    frame = pl.DataFrame(FRAME | changes)
    if suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbers_stay_and_text_becomes_categories(suffix: str, tmp_path: Path) -> None:
    dataset = read_table(write(tmp_path, suffix), ("risk",), None, PLAIN)
    assert [(f.name, f.categories) for f in dataset.input.features or ()] == [
        ("age", None),
        ("weight", None),
        ("smoker", ("false", "true")),
        ("city", ("bern", "oslo", "rome")),
    ]
    assert (dataset.input.dtype, dataset.input.shape) == ("float64", ("rows", 4))
    np.testing.assert_array_equal(dataset.x[:2], [[0, 0, 1, 1], [1, 0.5, 0, 0]])
    assert (dataset.y[:3].tolist(), dataset.classes) == ([0, 1, 0], ("high", "low"))
    assert (dataset.name, dataset.target) == ("patients", "risk")


def test_a_row_of_a_request_is_encoded_as_in_training(tmp_path: Path) -> None:
    dataset = read_table(write(tmp_path), ("risk",), None, PLAIN)
    row = {name: values[4] for name, values in FRAME.items() if name != "risk"}
    np.testing.assert_array_equal(dataset.input.encode([row])[0], dataset.x[4])


def test_timestamps_keep_their_digits(tmp_path: Path) -> None:
    times = [1_700_000_000 + i for i in range(ROWS)]
    assert read_table(write(tmp_path, age=times), ("risk",), None, PLAIN).x[:, 0].tolist() == times


def test_a_numeric_target_is_a_regression(tmp_path: Path) -> None:
    dataset = read_table(write(tmp_path), ("weight",), None, PLAIN)
    assert dataset.task == "regression"
    assert dataset.y.tolist() == FRAME["weight"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weight": [float("inf"), *range(29)]},
            "column 'weight': 29 of 30 values are numbers, but not 'inf'",
        ),
        ({"age": [date(2024, 1, 1)] * 30}, "column 'age': holds dates or times, such as '2024-01-01'"),
        ({"city": [f"id{i}" for i in range(30)]}, "column 'city': has numbers with text around them: 'id0'"),
        (
            {"city": [f"{chr(65 + i)}." for i in range(30)]},
            "column 'city': has 30 different texts in 30 rows",
        ),
        ({"": [1, 1, *range(28)]}, "column 'column 6': has no name of its own"),
        (
            {"age": ["twelve", *map(str, range(29))]},
            "column 'age': 29 of 30 values are numbers, but not 'twel",
        ),
        (
            {"risk": ["high", *map(str, range(29))]},
            "column 'risk': 29 of 30 values are numbers, but not 'high",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_that_cannot_be_learned_from_are_refused(
    changes: dict[str, list[Any]], message: str, suffix: str, tmp_path: Path
) -> None:
    path = write(tmp_path, suffix, **changes)
    with pytest.raises(DataError) as raised:
        read_table(path, ("risk",), None, PLAIN)
    refused = str(raised.value)
    if "'inf'" in message and suffix == ".parquet":
        message = "column 'weight': 1 of 30 values are infinite"
    assert refused.startswith(f"{path}: {message}")
    assert "\n" not in refused
    # The refusal names the options that settle it.
    read_table(path, ("risk",), None, given(refused))


def given(refused: str) -> TableOptions:
    """Give the options that a refusal names."""
    words = shlex.split(refused.partition("To go on, add ")[2])
    flags = dict(zip(words[::2], words[1::2], strict=True))
    listed = {flag.removeprefix("--"): next(csv.reader([value])) for flag, value in flags.items()}
    decimal = listed.pop("decimal", [None])
    return TableOptions.model_validate(
        {**listed, "decimal": ",".join(decimal) if decimal[0] is not None else None}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"age": [None, None, *range(28)]},
        {"weight": [float("nan"), *range(29)]},
        {"age": ["NA", "?", *map(str, range(28))]},
        {"age": ["nan", "NaN", "n/a", "N/A", "null", " ", *map(str, range(24))]},
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_missing_numbers_are_nan_and_told(changes: dict[str, list[Any]], suffix: str, tmp_path: Path) -> None:
    dataset = read_table(write(tmp_path, suffix, **changes), ("risk",), None, PLAIN)
    (name,) = changes
    place = list(FRAME).index(name)
    assert dataset.input.features is not None
    assert (dataset.input.features[place].missing, dataset.input.features[0].missing) == (True, place == 0)
    count = int(np.isnan(dataset.x[:, place]).sum())
    assert count == {"weight": 1}.get(name, count)
    assert dataset.report is not None
    assert f"{count} missing ({100 * count / ROWS:.2g} %)" in dataset.report.columns[name]
    row = {each: values[4] for each, values in FRAME.items() if each != "risk"} | {name: None}
    encoded = dataset.input.encode([row])
    assert np.isnan(encoded[0, place])


def test_a_missing_category_is_one_that_a_request_may_send(tmp_path: Path) -> None:
    path = write(tmp_path, city=[None, "NA", *"ab" * 14])
    dataset = read_table(path, ("risk",), None, PLAIN)
    assert dataset.input.features is not None
    assert dataset.input.features[3] == Feature(name="city", categories=("a", "b"), missing=True)
    assert np.isnan(dataset.x[:2, 3]).all()


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, risk=[None, *["high", "low"] * 14, "low"], age=[None, *range(29)])
    dataset = read_table(path, ("risk",), None, PLAIN)
    assert (len(dataset.y), dataset.x[0].tolist()) == (29, [0, 0.5, 0, 0])
    assert dataset.notes[0] == "1 of 30 rows have no 'risk' and are left out"
    assert dataset.input.features is not None
    assert not dataset.input.features[0].missing


def test_several_targets_are_columns_of_y(tmp_path: Path) -> None:
    path = write(tmp_path)
    dataset = read_table(path, ("weight", "age"), None, PLAIN)
    assert (dataset.target, dataset.targets, dataset.task) == (None, ("weight", "age"), "regression")
    alone = [read_table(path, (name,), "regression", PLAIN).y for name in ("weight", "age")]
    np.testing.assert_array_equal(dataset.y, np.stack(alone, axis=1))
    assert dataset.input.features is not None
    assert [feature.name for feature in dataset.input.features] == ["smoker", "city", "risk"]
    refused: tuple[tuple[tuple[str, ...], Task | None, str], ...] = (
        (("weight", "weight"), None, "--target names 'weight' 2 times"),
        (("weight", "length"), None, "no column 'length' \\(--target\\); it has age, weight"),
        (("weight", "risk"), None, "column 'risk': holds text; several targets are numbers"),
        (("weight", "age"), "classification", "2 columns: several targets make a regression"),
        (("age", "weight", "smoker", "city", "risk"), None, "every column is a target or left out"),
    )
    for target, task, message in refused:
        with pytest.raises(DataError, match=message):
            read_table(path, target, task, PLAIN)


def test_a_missing_target_is_refused_with_the_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="with --target; it has age, weight, smoker, city, risk"):
        read_table(write(tmp_path), None, None, PLAIN)


def test_an_unknown_target_is_refused_with_the_columns(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="no column 'Risk' \\(--target\\); it has age, weight, smoker, city, risk"
    ):
        read_table(write(tmp_path), ("Risk",), None, PLAIN)


def test_a_table_of_the_target_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("y\n" + "1\n2\n" * 20)
    with pytest.raises(DataError, match="'y' is the only column"):
        read_table(path, ("y",), None, PLAIN)


def test_a_regression_on_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 'risk': holds text; a regression needs numbers"):
        read_table(write(tmp_path), ("risk",), "regression", PLAIN)


@pytest.mark.parametrize(
    ("name", "content"), [("empty.csv", b""), ("ragged.csv", b"a,b\n1,2\n3,4,5\n"), ("no.parquet", b"PAR0")]
)
def test_a_broken_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_table(path, ("a",), None, PLAIN)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_numbers_between_blanks_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "padded.csv"
    path.write_text("a,b\n" + " 1,x\n2 ,y\n" * 20)
    dataset = read_table(path, ("b",), None, PLAIN)
    assert dataset.input.features is not None
    assert dataset.input.features[0].categories is None
    assert dataset.x[:2, 0].tolist() == [1, 2]


def test_codes_of_which_a_few_are_numbers_stay_categories(tmp_path: Path) -> None:
    dataset = read_table(write(tmp_path, city=["S", "M", "38"] * 10), ("risk",), None, PLAIN)
    assert dataset.input.features is not None
    assert dataset.input.features[3].categories == ("38", "M", "S")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,a\n" + "1,2,3\n" * 30, "columns 1 and 3 are both called 'a'; rename one in the file"),
        ("a,b\n", "no rows below the header"),
    ],
)
def test_a_malformed_header_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(DataError) as raised:
        read_table(path, ("a",), None, PLAIN)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_row_numbers_are_known_by_all_rows_with_those_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{k},{k % 7},{'' if k % 5 == 0 else k % 2}" for k in range(1, 61)]
    path.write_text("\n".join([",a,y", *lines]))
    dataset = read_table(path, ("y",), None, PLAIN)
    assert [feature.name for feature in dataset.input.features or ()] == ["a"]
