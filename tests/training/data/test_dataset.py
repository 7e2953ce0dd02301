import dataclasses

import numpy as np
import pytest

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input
from caveat.training.data.bundled import diabetes, digits
from caveat.training.data.dataset import Dataset, split
from caveat.training.errors import DataError


def toy(y: list[int], classes: tuple[str, ...] | None = ("a", "b")) -> Dataset:
    x = np.arange(len(y), dtype=np.float32)[:, None]  # each row holds its own index
    spec = Input(name="x", dtype="float32", shape=("rows", 1))
    dtype = np.float64 if classes is None else np.int64
    task = "regression" if classes is None else "classification"
    return Dataset(
        name="toy", task=task, input=spec, x=x, y=np.array(y, dtype), target="kind", classes=classes
    )


def test_parts_are_disjoint_and_complete() -> None:
    parts = split(toy([0, 1] * 50), test_size=0.2, seed=3)
    rows = np.concatenate([parts.train.x, parts.validation.x, parts.test.x]).ravel()
    assert sorted(rows) == list(range(100))
    assert (len(parts.test), len(parts.validation), len(parts.train)) == (20, 8, 72)


def test_targets_stay_with_their_rows() -> None:
    dataset = toy([0, 1] * 50)
    for part in vars(split(dataset, test_size=0.2, seed=0)).values():
        np.testing.assert_array_equal(part.y, dataset.y[part.x.ravel().astype(int)])


def test_every_part_has_the_classes_in_the_same_proportions() -> None:
    parts = split(digits(), test_size=0.2, seed=0)
    whole = np.bincount(digits().y) / len(digits().y)
    for part in vars(parts).values():
        np.testing.assert_allclose(np.bincount(part.y) / len(part), whole, atol=0.01)


@pytest.mark.parametrize("test_size", [0.01, 0.2, 0.5, 0.99])
def test_every_part_has_every_class_even_a_rare_one(test_size: float) -> None:
    parts = split(toy([0] * 40 + [1] * 3), test_size, seed=0)
    assert all(set(part.y) == {0, 1} for part in vars(parts).values())


def test_the_seed_decides_the_split() -> None:
    first, again, other = (split(toy([0, 1] * 50), 0.2, seed).test.x.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_regression_is_split_too() -> None:
    parts = split(diabetes(), test_size=0.25, seed=0)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (266, 66, 110)


def test_the_digest_changes_with_the_content() -> None:
    dataset = digits()
    assert dataset.digest == digits().digest
    x = dataset.x.copy()
    x[0, 0, 0] += 1
    for change in ({"x": x}, {"y": dataset.y[::-1]}, {"classes": tuple("abcdefghij")}, {"target": "z"}):
        assert dataclasses.replace(dataset, **change).digest != dataset.digest


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="toy: 19 rows; expected at least 20"):
        toy([0, 1] * 9 + [0])


def test_a_single_class_is_refused() -> None:
    with pytest.raises(DataError, match="toy: 'kind' holds one class only; there is nothing to learn"):
        toy([0] * 30, ("a",))


def test_a_single_value_is_refused() -> None:
    with pytest.raises(DataError, match="toy: 'kind' holds one value only"):
        toy([5] * 30, None)


def test_all_rows_of_a_class_with_too_few_to_hold_out_train() -> None:
    dataset = toy([0] * 30 + [1, 1])
    parts = split(dataset, 0.2, 0)
    assert [(part.y == 1).sum() for part in (parts.train, parts.validation, parts.test)] == [2, 0, 0]
    assert dataset.notes == ("class 'b' has 2 rows, too few to hold one out: training alone sees it",)


def test_a_column_of_names_is_refused_as_a_target() -> None:
    with pytest.raises(DataError, match="30 of 40 rows are of classes of 'kind' with fewer than 3 rows"):
        toy([0] * 10 + list(range(1, 31)), tuple(map(str, range(31))))


def test_every_category_and_gap_is_in_the_training_part() -> None:
    random = np.random.default_rng(0)
    x = np.stack([random.integers(0, 60, 200), np.where(np.arange(200) == 7, np.nan, 1.0)], axis=1)
    features = (
        Feature(name="c", categories=tuple(map(str, range(60)))),
        Feature(name="n", missing=True),
    )
    spec = Input(name="x", dtype="float64", shape=("rows", 2), features=features)
    dataset = Dataset("toy", "regression", spec, x.astype(np.float64), random.normal(size=200), target="y")
    for seed in range(5):
        parts = split(dataset, 0.3, seed)
        assert set(parts.train.x[:, 0]) == set(x[:, 0])
        assert np.isnan(parts.train.x[:, 1]).any()
        assert len(parts.train) + len(parts.validation) + len(parts.test) == 200
        assert len(parts.test) > 40
