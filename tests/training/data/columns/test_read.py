"""Columns read as they are meant, or doubted with the option that settles it: one table of kinds."""

import csv
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caveat.models.bundles.features import Feature
from caveat.training.data.dataset import Dataset
from caveat.training.data.options import TableOptions
from caveat.training.data.table import read_table
from caveat.training.errors import DataError

ROWS = 60
PART = [number / 7 for number in range(ROWS)]
WHOLE = [1000 + 7919 * number % 8000 for number in range(ROWS)]


def table(
    folder: Path, texts: Sequence[object], header: str = "v", separator: str = ",", **options: Any
) -> Dataset:
    """Read a table of a target and a column."""
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["y", header])
        writer.writerows([number, text] for number, text in enumerate(texts))
    return read_table(folder / "t.csv", ("y",), "regression", TableOptions.model_validate(options))


def read(folder: Path, texts: Sequence[object], **options: Any) -> tuple[Feature, list[float], str]:
    """Give the feature, its first three values, and how it was read."""
    dataset = table(folder, texts, **options)
    assert dataset.input.features is not None
    assert dataset.report is not None
    words = dataset.report.columns[dataset.input.features[-1].name]
    return dataset.input.features[-1], dataset.x[:3, -1].tolist(), words


@dataclass(frozen=True)
class Numbers:
    """A column of numbers in disguise, its first value, and what the report says."""

    texts: list[str]
    first: float
    words: str
    separator: str = ","
    options: dict[str, Any] = field(default_factory=dict)


NUMBERS = {
    "thousands": Numbers([f"{number:,}" for number in WHOLE], WHOLE[0], "separators of thousands"),
    "in a part": Numbers([f"{2 * number - 2000:,}" for number in WHOLE], 0, "separators of thousands"),
    "percent": Numbers([f"{of:.1f}%" for of in PART], 0.0, "numbers from 0 to 8.4, written with '%'"),
    "percent apart": Numbers([f"{of:.1f} %" for of in PART], 0.0, "written with '%'"),
    "dollars": Numbers([f"${of + 1:.2f}" for of in PART], 1.0, "written with '$'"),
    "negative dollars": Numbers([f"-${of + 1:,.2f}" for of in PART], -1.0, "written with '$'"),
    "euros behind": Numbers([f"{of + 1:.2f} €" for of in PART], 1.0, "written with '€'"),
    "a code of a currency": Numbers([f"USD {number}" for number in WHOLE], WHOLE[0], "written with 'USD'"),
    "a unit": Numbers([f"{number} kg" for number in WHOLE], WHOLE[0], "written with 'kg'"),
    "brackets": Numbers(
        [f"({number})" if k % 2 == 0 else str(number) for k, number in enumerate(WHOLE)],
        -WHOLE[0],
        "numbers from -",
    ),
    "a minus behind": Numbers([f"{number}-" for number in WHOLE], -WHOLE[0], "numbers from -"),
    "a unit with digits": Numbers([f"{number} m2" for number in WHOLE], WHOLE[0], "written with 'm2'"),
    "rupees": Numbers([f"Rs. {number:,}" for number in WHOLE], WHOLE[0], "written with 'Rs.'"),
    "square feet": Numbers([f"{number} sq.ft." for number in WHOLE], WHOLE[0], "written with 'sq.ft.'"),
    "capital letters of a unit": Numbers(
        [f"{number} {'kg' if k % 2 else 'KG'}" for k, number in enumerate(WHOLE)],
        WHOLE[0],
        "written with 'KG'",
    ),
    "free or dollars": Numbers(
        ["0" if k % 3 else f"${number}" for k, number in enumerate(WHOLE)], WHOLE[0], "written with '$'"
    ),
    "dollars, some without, stated": Numbers(
        [str(number) if k % 3 else f"${number}" for k, number in enumerate(WHOLE)],
        WHOLE[0],
        "written with '$'",
        options={"numeric": ["v"]},
    ),
    "digits of another script": Numbers(
        ["".join(chr(0x0660 + int(d)) for d in str(number)) for number in WHOLE],
        WHOLE[0],
        "numbers from 1000",
    ),
    "the sign for minus": Numbers([f"\u2212{number}" for number in WHOLE], -WHOLE[0], "numbers from -"),
    "blanks": Numbers([f" {number} " for number in WHOLE], WHOLE[0], "numbers from 1000"),
    "Swiss": Numbers([f"{number:,}".replace(",", "'") for number in WHOLE], WHOLE[0], "thousands"),
    "Indian": Numbers([f"12,34,{number % 900 + 100}" for number in WHOLE], 1_234_200, "thousands"),
    "exponents": Numbers([f"{of:e}" for of in PART], 0.0, "numbers from 0"),
    "German": Numbers([f"{of + 1:.2f}".replace(".", ",") for of in PART], 1.0, "decimal commas", ";"),
    "German, quoted": Numbers([f"{of + 1:.2f}".replace(".", ",") for of in PART], 1.0, "decimal commas"),
    "German thousands": Numbers(
        [f"{number:,}".replace(",", ".") + ",50" for number in WHOLE], WHOLE[0] + 0.5, "decimal commas", ";"
    ),
    "stated": Numbers(
        [f"{number:,}".replace(",", ".") for number in WHOLE], WHOLE[0], "numbers", ";", {"decimal": ","}
    ),
    "units, stated": Numbers([f"{number}kg" for number in WHOLE], WHOLE[0], "kg", options={"numeric": ["v"]}),
    "text, stated": Numbers(
        [*map(str, WHOLE[1:]), "many"], WHOLE[1], "1 missing (1.7 %)", options={"numeric": ["v"]}
    ),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_in_disguise_are_numbers(kind: str, tmp_path: Path) -> None:
    case = NUMBERS[kind]
    feature, values, words = read(tmp_path, case.texts, separator=case.separator, **case.options)
    assert feature.categories is None
    assert values[0] == pytest.approx(case.first)
    assert case.words in words


@dataclass(frozen=True)
class Refused:
    """A column that is refused, with what, and what it is read as with the option that the refusal names."""

    texts: list[Any]
    message: str
    options: dict[str, list[str]]
    then: str
    separator: str = ","


REFUSED = {
    "text among numbers": Refused(
        [*WHOLE[:57], "unknown", "none yet", "unknown"],
        "57 of 60 values are numbers, but not 'unknown', 'none yet'; --numeric v takes them for numbers, and",
        {"numeric": ["v"]},
        "3 missing (5 %)",
    ),
    "many numbers": Refused([*WHOLE[:40], *["?!"] * 20], "40 of 60 values", {"numeric": ["v"]}, "20 missing"),
    "a unit without a blank": Refused(
        [f"{number}kg" for number in WHOLE], "numbers with text around them", {"numeric": ["v"]}, "'kg'"
    ),
    "identifiers": Refused(
        [f"A{number}" for number in WHOLE],
        "numbers with text around them: 'A1000'",
        {"numeric": ["v"]},
        "'A'",
    ),
    "two currencies": Refused(
        [f"{'$€'[k % 3 == 0]}{number}" for k, number in enumerate(WHOLE)],
        "different marks: '$8919', '€1000'",
        {"categorical": ["v"]},
        "60 categories",
    ),
    "percent and none": Refused(
        [f"{number / 100}{'%' * (k % 3 > 0)}" for k, number in enumerate(WHOLE)],
        "different marks",
        {"categorical": ["v"]},
        "60 categories",
    ),
    "infinite": Refused(["inf", *WHOLE[1:]], "but not 'inf'", {"numeric": ["v"]}, "1 missing"),
    "magnitudes": Refused([f"{n}k" for n in WHOLE], "numbers with text around", {"numeric": ["v"]}, "'k'"),
    "names": Refused(
        [chr(65 + k % 26) + chr(97 + k) for k in range(ROWS)],
        "has 60 different texts in 60 rows, such as",
        {"drop": ["v"]},
        "left out, as the options say",
    ),
    "large whole numbers": Refused(
        [2**53 + k for k in range(ROWS)], "beyond 2**53", {"drop": ["v"]}, "left out, as the options say"
    ),
    "dates": Refused(
        [f"2026-{k % 12 + 1:02}-{k % 28 + 1:02}" for k in range(ROWS)],
        "dates or times, such as '2026-",
        {"dates": ["v"]},
        "dates from 2026-01-01 to 2026-12-",
    ),
    "dates as whole numbers": Refused(
        [f"2026{k % 12 + 1:02}{k % 28 + 1:02}" for k in range(ROWS)],
        "dates or times, such as '2026",
        {"dates": ["v"]},
        "dates from 2026-01-01",
    ),
    "American dates": Refused(
        [f"{k % 12 + 1}/{k % 28 + 1}/2026" for k in range(ROWS)],
        "dates or times",
        {"dates": ["v"]},
        "dates from 2026-01-01",
    ),
    "dates of two readings": Refused(
        [f"{k % 12 + 1:02}/{k % 11 + 1:02}/2026" for k in range(ROWS)],
        "can be read as %m/%d/%Y and as %d/%m/%Y",
        {"dates": ["v=%m/%d/%Y"]},
        "dates from 2026-01-",
    ),
    "times": Refused(
        [f"{k % 24}:{k:02}" for k in range(ROWS)],
        "dates or times, such as",
        {"dates": ["v"]},
        "times from 00:00:00 to",
    ),
    "a date among text": Refused(
        ["Jan 2 2026"] * 40 + ["Feb 3 2026"] * 20, "dates or times", {"dates": ["v"]}, "2026-02-03"
    ),
    "one mark, two readings": Refused(
        [f"{number:,}" for number in WHOLE],
        "whose mark may separate decimals or thousands",
        {"decimal": [","]},
        "numbers from 1 to",
        ";",
    ),
    "two units": Refused(
        [f"{number}{'lb' if k % 3 else 'kg'}" for k, number in enumerate(WHOLE)],
        "40 of 60 values are numbers, but not '1000kg'",
        {"categorical": ["v"]},
        "60 categories",
    ),
    "a unit and text": Refused(
        [*(f"{number}kg" for number in WHOLE[:50]), *["n.a."] * 10],
        "50 of 60 values are numbers, but not 'n.a.'",
        {"numeric": ["v"]},
        "10 missing",
    ),
    "text first": Refused(
        [*["unknown"] * 2, *(f"{number} kg" for number in WHOLE[:58])],
        "58 of 60 values are numbers, but not 'unknown'",
        {"numeric": ["v"]},
        "2 missing",
    ),
    "magnitudes and none": Refused(
        [f"{number}{'k €' if k % 3 else ''}" for k, number in enumerate(WHOLE)],
        "different marks",
        {"categorical": ["v"]},
        "60 categories",
    ),
    "years of two digits first": Refused(
        [f"{k % 20 + 1:02}-06-{k % 12 + 1:02}" for k in range(ROWS)],
        "can be read as %d-%m-%y and as %y-%m-%d",
        {"dates": ["v=%d-%m-%y"]},
        "dates from 20",
    ),
    "months and an unknown one": Refused(
        [*(f"2026-{k % 6 + 1:02}-01" for k in range(58)), "unknown", "unknown"],
        "dates or times, such as '2026-0",
        {"dates": ["v"]},
        "2 missing",
    ),
    "names of which one comes twice": Refused(
        ["Aa", *(chr(65 + k % 26) + chr(97 + k) for k in range(ROWS - 1))],
        "has 59 different texts in 60 rows, such as",
        {"drop": ["v"]},
        "left out, as the options say",
    ),
    "an unnamed column": Refused(
        [k % 5 for k in range(ROWS)], "has no name of its own", {"drop": ["column 2"]}, "left out"
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_in_doubt_is_refused_with_the_option_that_settles_it(kind: str, tmp_path: Path) -> None:
    case = REFUSED[kind]
    header = "" if kind == "an unnamed column" else "v"
    with pytest.raises(DataError) as raised:
        read(tmp_path, case.texts, header=header, separator=case.separator)
    message = str(raised.value)
    assert case.message in message
    assert "\n" not in message
    words = shlex.split(message.partition(" To go on, add ")[2])
    given = {flag.removeprefix("--"): value for flag, value in zip(words[::2], words[1::2], strict=True)}
    listed = {name: [","] if value == "," else value.split(",") for name, value in given.items()}
    assert listed == case.options
    # With a second feature, a column that is left out leaves something to predict from.
    options: dict[str, Any] = {
        name: value[0] if name == "decimal" else value for name, value in listed.items()
    }
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=case.separator))
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=case.separator).writerows(
            [*row, "z" if not k else k % 4] for k, row in enumerate(rows)
        )
    dataset = read_table(tmp_path / "t.csv", ("y",), "regression", TableOptions.model_validate(options))
    assert dataset.report is not None
    assert case.then in list(dataset.report.columns.values())[1]


CATEGORIES: dict[str, tuple[list[Any], tuple[str, ...]]] = {
    "codes": (["SI1", "VS2", "IF"] * 20, ("IF", "SI1", "VS2")),
    "few units": (["2WD", "4WD"] * 30, ("2WD", "4WD")),
    "ordinals": (["1st", "2nd", "3rd"] * 20, ("1st", "2nd", "3rd")),
    "leading zeros": (["01", "02", "X9"] * 20, ("01", "02", "X9")),
    "leading zeros alone": (["01", "02", "13"] * 20, ("01", "02", "13")),
    "many leading zeros": ([f"{k % 30:03}" for k in range(ROWS)], tuple(f"{k:03}" for k in range(30))),
    "booleans": (["True", "False"] * 30, ("False", "True")),
    "grades": (["1", "2", "A"] * 20, ("1", "2", "A")),
    "blanks": (["gas", "gas ", "natural  gas", "natural gas"] * 15, ("gas", "natural gas")),
    "capital letters": (["Gas", "gas", "gas", "oil"] * 15, ("gas", "oil")),
    "line breaks": (["a\nb", "a b", "c"] * 20, ("a b", "c")),
    "blanks without a width": (["gas", "gas\u200b", "\ufeffoil"] * 20, ("gas", "oil")),
    "groups with leading zeros": (
        ["030 123 456", "030 123 457", "012 345 678"] * 20,
        ("012 345 678", "030 123 456", "030 123 457"),
    ),
    "names of versions": (["auto.3", "auto.4", "man.5"] * 20, ("auto.3", "auto.4", "man.5")),
    "accents": (["cafe\u0301", "caf\u00e9", "tea"] * 20, ("caf\u00e9", "tea")),
}


@pytest.mark.parametrize("kind", CATEGORIES)
def test_codes_and_texts_are_categories(kind: str, tmp_path: Path) -> None:
    texts, expected = CATEGORIES[kind]
    feature, values, words = read(tmp_path, texts)
    assert feature == Feature(name="v", categories=expected)
    assert f"{len(expected)} categories: {expected[0]}" in words
    # A request may spell a category as any row of the table does.
    assert [feature.number(text) for text in texts[:3]] == values


def test_merged_spellings_are_noted_and_stated_ones_are_kept_apart(tmp_path: Path) -> None:
    texts = ["Gas", "gas", "gas ", "oil"] * 15
    assert table(tmp_path, texts).notes == ("'v': 'Gas', 'gas', 'gas ' are read as 'Gas'",)
    assert read(tmp_path, texts, categorical=["v"])[0].categories == ("Gas", "gas", "oil")


def test_missing_spellings_are_categories_where_their_owner_says_so(tmp_path: Path) -> None:
    texts = ["NA", "DE", ""] * 20
    assert read(tmp_path, texts)[0] == Feature(name="v", categories=("DE",), missing=True)
    stated = Feature(name="v", categories=("DE", "NA"), missing=True)
    assert read(tmp_path, texts, categorical=["v"])[0] == stated
    assert stated.number("NA") == 1


def test_years_of_two_digits_in_the_future_are_noted(tmp_path: Path) -> None:
    dataset = table(tmp_path, [f"13.{k % 12 + 1:02}.44" for k in range(ROWS)], dates=["v"])
    assert "years of two digits are read as 1969 to 2068" in dataset.notes[0]


def test_one_column_with_decimal_commas_decides_for_others_in_any_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n" + "".join(f'"{k},5","1,{k + 100}",{k}\n' for k in range(30)))
    dataset = read_table(path, ("y",), None, TableOptions())
    assert dataset.x[3].tolist() == [3.5, 1.103]
    assert {"a": ",", "b": ","}.items() <= dataset.writing["decimals"].items()


def test_dates_and_lists_say_nothing_of_the_decimal_mark(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "day;section;v;y\n"
        + "".join(f"{k % 28 + 1:02}.02.2026;1.2.{k % 3};{k % 2}.{k + 100};{k}\n" for k in range(30))
    )
    options = TableOptions(dates=("day=%d.%m.%Y",), drop=("section",))
    assert read_table(path, ("y",), None, options).x[3].tolist()[1] == 1.103


def test_numbers_are_categories_where_their_owner_says_so(tmp_path: Path) -> None:
    feature, values, _ = read(tmp_path, [k % 3 for k in range(ROWS)], categorical=["v"])
    assert (feature.categories, values) == (("0", "1", "2"), [0, 1, 2])
    assert feature.number(1) == feature.number(1.0) == feature.number("1") == 1


def test_other_categories_are_taken_where_their_owner_says_so(tmp_path: Path) -> None:
    assert read(tmp_path, ["a", "b", ""] * 20)[0] == Feature(name="v", categories=("a", "b"), missing=True)
    feature, _, _ = read(tmp_path, ["a", "b", ""] * 20, unseen="other")
    assert feature == Feature(name="v", categories=("a", "b"), missing=True, other=True)


def test_the_form_of_dates_is_kept(tmp_path: Path) -> None:
    texts = [f"{k % 28 + 1:02}/03/2026" for k in range(ROWS)]
    feature, values, words = read(tmp_path, texts, dates=["v"])
    assert feature == Feature(name="v", dates="%d/%m/%Y")
    assert values == [feature.number(text) for text in texts[:3]] == [20513.0, 20514.0, 20515.0]
    assert words == "dates from 2026-03-01 to 2026-03-28"
    assert feature.number("2026-03-02") == 20514
    feature, values, _ = read(tmp_path, [*texts[1:], "soon"], dates=["v=%d/%m/%Y"])
    assert (feature.missing, values[0]) == (True, 20514.0)
    with pytest.raises(DataError, match=r"has no dates of the form %Y: '.*'; --dates v=FORM states another"):
        read(tmp_path, texts, dates=["v=%Y"])


@pytest.mark.parametrize(
    ("texts", "header", "out"),
    [
        (range(ROWS), "", True),
        (range(1, ROWS + 1), "Unnamed: 0", True),
        ([f"row {k}" for k in range(ROWS)], "", True),
        (range(ROWS), "__index_level_0__", True),
        (range(ROWS), "index", True),
        ([7 * k for k in range(ROWS)], "index", False),
        (range(ROWS), "id", False),
        ([""] * ROWS, "v", True),
    ],
)
def test_columns_that_number_rows_or_are_empty_are_left_out(
    texts: Sequence[object], header: str, out: bool, tmp_path: Path
) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [[header, "a", "y"], *([text, k % 3, k % 2] for k, text in enumerate(texts))]
        )
    dataset = read_table(tmp_path / "t.csv", ("y",), None, TableOptions())
    assert dataset.input.features is not None
    assert len(dataset.input.features) == (1 if out else 2)
    assert dataset.report is not None
    assert ("left out" in next(iter(dataset.report.columns.values()))) == out
    if not out:
        assert "if it is an identifier, --drop" in dataset.notes[0]
    # Whoever names it keeps it, unless it is empty.
    name = next(iter(dataset.report.columns))
    if header != "v":
        options = TableOptions(features=(name,), categorical=(name,) if isinstance(texts, list) else None)
        kept = read_table(tmp_path / "t.csv", ("y",), None, options)
        assert [feature.name for feature in kept.input.features or ()] == [name]


def test_constants_are_noted(tmp_path: Path) -> None:
    dataset = table(tmp_path, ["5"] * ROWS)
    assert dataset.notes == ("'v' is constant; --drop v spares clients to send it",)
    assert dataset.report is not None
    assert dataset.report.columns["v"] == "the number 5 in every row"


def test_features_and_drop_choose_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,y\n" + "".join(f"{k},{k % 2},{k % 3},{k % 2}\n" for k in range(ROWS)))

    def names(**options: Any) -> list[str]:
        dataset = read_table(path, ("y",), None, TableOptions.model_validate(options))
        return [feature.name for feature in dataset.input.features or ()]

    assert names(drop=["b"]) == names(features=["c", "a"]) == ["a", "c"]
    for options, message in (
        ({"drop": ["z"]}, r"no column 'z' \(--drop\); it has a, b, c, y"),
        ({"dates": ["z=%Y"]}, r"no column 'z' \(--dates\)"),
        ({"drop": ["y"]}, "--drop leaves out 'y', which is to be predicted"),
        ({"drop": ["a"], "numeric": ["a"]}, "--drop and --numeric both name 'a'; expected one"),
        ({"features": ["a"], "numeric": ["b"]}, "--numeric names 'b', which --features leaves out"),
        ({"unseen": "other"}, "--unseen other goes with categories, and no column holds any"),
        ({"drop": ["a", "b", "c"]}, "every column is a target or left out"),
        ({"numeric": ["a"], "categorical": ["a"]}, "--numeric and --categorical both name 'a'; expected one"),
    ):
        with pytest.raises(DataError, match=message):
            names(**options)


def test_all_doubts_are_settled_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerow(["name", "last, first", "when", "cost", "y"])
        csv.writer(file).writerows(
            [chr(97 + k) * 2, chr(65 + k), f"2026-01-{k % 28 + 1:02}", "?!" if k == 9 else k, k % 2]
            for k in range(26)
        )
    with pytest.raises(DataError) as raised:
        read_table(path, ("y",), None, TableOptions())
    assert str(raised.value).endswith(
        """To go on, add --drop 'name,"last, first"' --dates when --numeric cost"""
    )


@pytest.mark.parametrize(
    ("texts", "task", "classes", "first"),
    [
        (["01", "02", "13"] * 20, None, ("01", "02", "13"), 0),
        ([2**53, 2**53 + 1, 2**53 + 2] * 20, None, tuple(str(2**53 + k) for k in range(3)), 0),
        ([2**64, 2**64 + 1, 2**64 + 2] * 20, None, tuple(str(2**64 + k) for k in range(3)), 0),
        (["2", "10", "1"] * 20, None, ("1", "2", "10"), 1),
        (["1.0", "2.0", "1"] * 20, None, ("1", "2"), 0),
        (["True", "False", "unknown"] * 20, None, ("False", "True", "unknown"), 1),
        (["yes", "Yes ", "no", "yes"] * 15, None, ("no", "yes"), 1),
        (["10%", "20%", "40 %"] * 20, None, ("10%", "20%", "40 %"), 0),
        ([k % 3 + 0.5 for k in range(ROWS)], "classification", ("0.5", "1.5", "2.5"), 0),
        (["1", "2", "A"] * 20, None, ("1", "2", "A"), 0),
        ([f"{k % 30 + 1},{k % 9}00" for k in range(ROWS)], "regression", None, 1000.0),
    ],
)
def test_targets_keep_their_digits_and_names(
    texts: list[Any], task: str | None, classes: tuple[str, ...] | None, first: float, tmp_path: Path
) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "y"], *([k % 7, text] for k, text in enumerate(texts))])
    dataset = read_table(tmp_path / "t.csv", ("y",), task, TableOptions())
    assert (dataset.classes, dataset.y[0]) == (classes, first)
    assert math.isfinite(np.abs(dataset.y).max())


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([f"2026-01-{k % 28 + 1:02}" for k in range(ROWS)], {}, "column 'y': holds dates"),
        ([*range(59), "many"], {}, "column 'y': 59 of 60 values are numbers, but not 'many'"),
        ([""] * ROWS, {}, "column 'y': has no values, and is to be predicted"),
    ],
)
def test_targets_that_cannot_be_predicted_are_refused(
    texts: list[Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "y"], *([k % 7, text] for k, text in enumerate(texts))])
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.csv", ("y",), None, TableOptions.model_validate(options))
