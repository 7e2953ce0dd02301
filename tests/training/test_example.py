import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caveat.models.bundles.features import OTHER, Feature
from caveat.models.bundles.signature import Input
from caveat.training.data.bundled import BUNDLED
from caveat.training.example import example, made_up, typical


@pytest.mark.parametrize("name", BUNDLED)
def test_an_example_reads_back_as_the_same_rows(name: str) -> None:
    dataset = BUNDLED[name]()
    written = json.loads(json.dumps(example(dataset.input, dataset.x[:2])))
    np.testing.assert_array_equal(dataset.input.encode(written), dataset.x[:2])


def test_numbers_have_few_digits() -> None:
    spec = Input(name="x", dtype="float32", shape=("rows", 3))
    assert json.dumps(example(spec, np.array([[0.1, 2, -3.5]], np.float32))) == "[[0.1, 2, -3.5]]"


def test_long_rows_give_no_example() -> None:
    spec = Input(name="x", dtype="float32", shape=("rows", 40, 40))
    assert example(spec, np.zeros((2, 40, 40), np.float32)) is None


SPEC = Input(name="x", dtype="float32", shape=("rows", 4))


def made(rows: NDArray[Any], *others: tuple[Input, NDArray[Any]], spec: Input = SPEC, count: int = 50) -> Any:
    of = {spec.name: rows} | {other.name: array for other, array in others}
    return next(made_up([spec, *(other for other, _ in others)], of, count))


def test_made_up_rows_lie_between_those_of_the_example_and_copy_none() -> None:
    rows = np.random.default_rng(0).lognormal(size=(6, 4)).astype(np.float32)
    x = made(rows)["x"]
    assert x.dtype == np.float32
    assert (x >= rows.min(0)).all()
    assert (x <= rows.max(0)).all()
    assert not (x[:, None] == rows).all(2).any()
    assert len(np.unique(x, axis=0)) == 50


def test_what_is_the_same_in_all_rows_stays_the_same() -> None:
    rows = np.random.default_rng(0).random((6, 4)).astype(np.float32)
    rows[:, 1] = 0.1234567
    rows[:, 3] = 0
    x = made(rows)["x"]
    assert (x[:, 1] == np.float32(0.1234567)).all()
    assert (x[:, 3] == 0).all()


def test_shares_still_sum_to_one() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=6).astype(np.float32)
    np.testing.assert_allclose(made(rows)["x"].sum(1), 1, atol=0.01)


def test_one_hot_codes_and_masks_are_those_of_one_row() -> None:
    random = np.random.default_rng(0)
    codes = np.eye(3)[random.integers(3, size=6)]
    rows = np.concatenate([codes, random.random((6, 1))], 1).astype(np.float32)
    assert (made(rows)["x"][:, :3].sum(1) == 1).all()
    mask = Input(name="mask", dtype="int64", shape=("rows", 4))
    lengths = np.array([1, 2, 3, 4, 4, 2])[:, None] > np.arange(4)
    found = made(rows, (mask, lengths.astype(np.int64)))["mask"]
    assert (np.diff(found) <= 0).all()
    assert found.sum(1).min() > 0


def test_rows_of_switches_alone_are_mixed() -> None:
    rows = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0]], np.float32)
    x = made(rows, count=2)["x"]
    assert set(np.unique(x)) <= {0, 1}
    assert not (x[:, None] == rows).all(2).any()


def test_whole_numbers_stay_whole_and_in_their_range() -> None:
    rows = np.array([[3, 100, 0.5, 7], [9, 250, 0.25, 7], [4, 120, 0.75, 7]], np.float32)
    x = made(rows)["x"]
    assert (x[:, [0, 1, 3]] % 1 == 0).all()
    assert x[:, 0].min() >= 3
    assert x[:, 1].max() <= 250


def test_a_category_is_one_of_those_seen() -> None:
    features = (Feature(name="pet", categories=tuple("abcdefg")), *map(feature, "xyz"))
    spec = Input(name="x", dtype="float64", shape=("rows", 4), features=features)
    rows = np.array([[1, 0.5, 2.5, 3], [5, 1.5, 7.5, 9], [1, 2.5, 3.5, 4]])
    assert set(made(rows, spec=spec)["x"][:, 0]) == {1, 5}


def feature(name: str) -> Feature:
    return Feature(name=name)


@pytest.mark.parametrize(
    "row",
    [[0.1, 2.5, -3.5, 0], [1e-30, 1e30, 5e-324, 1.0], [5, 6, 7, 0]],
    ids=["fractions", "extremes", "integers"],
)
def test_a_lone_row_is_not_copied(row: list[float]) -> None:
    spec = SPEC.model_copy(update={"dtype": "int64"}) if row[0] == 5 else SPEC
    rows = np.array([row], np.int64 if row[0] == 5 else np.float32)
    x = made(rows, spec=spec)["x"]
    assert np.isfinite(x).all()
    assert ((x == 0) == (rows == 0)).all()
    assert (x != rows).any(1).mean() > 0.5


def test_large_integers_are_written_exactly() -> None:
    spec = Input(name="x", dtype="int64", shape=("rows", 1))
    assert example(spec, np.array([[2**60 + 1]])) == [[2**60 + 1]]


RECORD = Input(
    name="x",
    dtype="float64",
    shape=("rows", 4),
    features=(
        Feature(name="age", missing=True),
        Feature(name="pet", categories=("cat", "dog", "cow"), missing=True, other=True),
        Feature(name="day", dates="%d/%m/%Y", missing=True),
        Feature(name="dose"),
    ),
)


def test_missing_values_dates_and_unknown_categories_are_written_as_a_client_does() -> None:
    rows = np.array([[np.nan, 1, 20513, 0.1], [3, np.nan, 1.5, 2], [4, OTHER, np.nan, 2]])
    written = example(RECORD, rows)
    assert written == [
        {"age": None, "pet": "dog", "day": "2026-03-01", "dose": 0.1},
        {"age": 3, "pet": None, "day": "1970-01-02T12:00:00", "dose": 2},
        {"age": 4, "pet": "cat", "day": None, "dose": 2},
    ]
    rows[2, 1] = 0
    np.testing.assert_array_equal(RECORD.encode(json.loads(json.dumps(written))), rows)


def test_a_typical_row_is_of_the_known_values() -> None:
    nan = np.nan
    rows = np.array([[nan, 1, 5, 1], [2, nan, 8, 2], [4, OTHER, nan, 6], [nan, OTHER, nan, 9.0]])
    np.testing.assert_array_equal(typical(RECORD, rows), [[3, 1, 6, 4]])  # days are whole as theirs are
    rows[0, 2] = 5.5
    assert typical(RECORD, rows)[0, 2] == 6.75


def test_a_typical_row_lacks_what_no_row_has() -> None:
    rows = np.array([[np.nan, OTHER, np.nan, 1], [np.nan, np.nan, np.nan, 1]])
    np.testing.assert_array_equal(typical(RECORD, rows), [[np.nan, np.nan, np.nan, 1]])


def test_made_up_rows_lack_what_a_row_of_the_example_lacks() -> None:
    random = np.random.default_rng(0)
    rows = np.stack(
        [
            random.lognormal(size=8),
            random.integers(0, 3, 8),
            random.integers(9000, 9999, 8),
            random.random(8),
        ],
        axis=1,
    )
    rows[:4, 0] = rows[2:6, 2] = np.nan
    rows[6, 1], rows[7, 1] = np.nan, OTHER
    with np.errstate(all="raise"):
        x = made(rows, spec=RECORD)["x"]
    lacking = {tuple(row) for row in np.isnan(rows[:, [0, 2]])}
    assert {tuple(row) for row in np.isnan(x[:, [0, 2]])} == lacking
    assert {*x[:, 1][~np.isnan(x[:, 1])]} == {0, 1, 2}
    assert np.isnan(x[:, 1]).any()
    assert np.isfinite(x[:, 3]).all()
    for column in (0, 2, 3):
        known, own = x[:, column][~np.isnan(x[:, column])], rows[:, column][~np.isnan(rows[:, column])]
        assert known.min() >= own.min()
        assert known.max() <= own.max()
    days = x[:, 2][~np.isnan(x[:, 2])]
    assert (days == np.floor(days)).all()
    keys = {row.tobytes() for row in rows}
    assert not keys & {row.tobytes() for row in x}


def test_one_row_without_values_is_made_up_too() -> None:
    rows = np.array([[np.nan, np.nan, np.nan, 3.5]])
    x = made(rows, spec=RECORD, count=2)["x"]
    assert np.isnan(x[:, :3]).all()
    assert not (x[:, 3] == 3.5).any()
