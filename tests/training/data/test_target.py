import numpy as np
import pytest

from caveat.training.data.target import encode_target, infer_task
from caveat.training.errors import DataError


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        (list(range(20)), "classification"),
        ([0.0, 1.0], "classification"),
        (list(range(21)), "regression"),
        ([0.5, 1.0], "regression"),
    ],
)
def test_the_task_is_inferred(values: list[object], task: str) -> None:
    assert infer_task(np.array(values)) == task


@pytest.mark.parametrize(
    ("values", "codes", "classes"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([True, False, True], [1, 0, 1], ("false", "true")),
        ([10.0, 9.0, 10.0], [1, 0, 1], ("9", "10")),
        ([3, -1, 3], [1, 0, 1], ("-1", "3")),
    ],
)
def test_classes_are_sorted_and_named(values: list[object], codes: list[int], classes: tuple[str]) -> None:
    y, names = encode_target(np.array(values), None, "t")
    assert (y.tolist(), names) == (codes, classes)


def test_the_task_can_be_overridden() -> None:
    y, classes = encode_target(np.array([1, 2, 2]), "regression", "t")
    assert y.dtype == np.float64
    assert (y.tolist(), classes) == ([1.0, 2.0, 2.0], None)
    assert encode_target(np.array([0.5, 1.5]), "classification", "t")[1] == ("0.5", "1.5")


@pytest.mark.parametrize(("values", "kind"), [(["a", "b"], "text"), ([True, False], "booleans")])
def test_a_regression_needs_numbers(values: list[object], kind: str) -> None:
    with pytest.raises(DataError, match=f"file.csv: holds {kind}; a regression needs numbers"):
        encode_target(np.array(values), "regression", "file.csv")
