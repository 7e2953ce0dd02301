from typing import Any

import numpy as np
import pytest

from caveat.training.errors import DataError
from caveat.training.tasks.labels import indices_of
from caveat.training.vocabulary import Labels

NUMBERED, DIGITS, NAMED, MIXED = ("1", "2", "3"), ("0", "1", "2"), ("cat", "dog", "eel"), ("1", "2", "A")
PADDED, FLAGS = ("01", "02", "X9"), ("false", "true", "unknown")


@pytest.mark.parametrize(
    ("classes", "values", "labels", "expected"),
    [
        (NUMBERED, [1, 2, 3], None, [0, 1, 2]),
        (NUMBERED, [3.0, 1.0], None, [2, 0]),
        (NUMBERED, ["3", "1"], None, [2, 0]),
        (NUMBERED, [1, 2], "names", [0, 1]),
        (NUMBERED, [1, 2], "indices", [1, 2]),
        (NUMBERED, [0, 1, 2], "indices", [0, 1, 2]),
        (DIGITS, [0, 1, 1], None, [0, 1, 1]),
        (DIGITS, [0.0, 2.0], None, [0, 2]),
        (NAMED, ["eel", "cat "], None, [2, 0]),
        (NAMED, ["Dog"], None, [1]),
        (NAMED, [2, 0], None, [2, 0]),
        (NAMED, ["2", "0"], None, [2, 0]),
        (MIXED, ["1", "A"], None, [0, 2]),
        (MIXED, ["1", "1"], "names", [0, 0]),
        (PADDED, ["01", "X9"], None, [0, 2]),
        (PADDED, ["02", "01"], None, [1, 0]),
        (FLAGS, [True, False], None, [1, 0]),
        (FLAGS, ["True", "unknown"], None, [1, 2]),
    ],
)
def test_labels_are_names_or_indices(
    classes: tuple[str, ...], values: list[Any], labels: Labels | None, expected: list[int]
) -> None:
    assert indices_of(np.array(values), classes, "y", labels).tolist() == expected


@pytest.mark.parametrize(
    ("classes", "values", "labels", "message"),
    [
        # One stray 0 among many names made all of them indices; without class 0, indices became names.
        (
            NUMBERED,
            [1, 2] * 150 + [0],
            None,
            "holds 0; the classes are 1, 2, 3; if they are indices from 0 on",
        ),
        (
            NUMBERED,
            [1, 2],
            None,
            "holds 1, 2, which are names of classes .* say --labels names or --labels indices",
        ),
        (MIXED, ["1", "2"], None, "holds 1, 2, which .* say --labels names or --labels indices"),
        (NUMBERED, [1, 7], None, "holds 7; the classes are 1, 2, 3$"),
        (NUMBERED, [0, 1], "names", "holds 0; the classes are 1, 2, 3"),
        (NUMBERED, [1, 3], "indices", "holds 3; expected an index from 0 to 2"),
        (NAMED, ["dog", "emu", "0"], None, "holds 0, emu; the classes are cat, dog, eel$"),
        (NAMED, [0, 3], None, "holds 0, 3; the classes are cat"),
        (NAMED, [-1, 1], None, "holds -1, 1; the classes are cat"),
        (NAMED, [0.5], None, "holds 0.5; the classes are"),
        (NAMED, [True, False], None, "holds False, True; the classes are"),
        (PADDED, [1, 2], None, "holds 1, 2; the classes are 01, 02, X9; if they are indices"),
    ],
)
def test_labels_that_are_neither_or_may_be_both_are_refused(
    classes: tuple[str, ...], values: list[Any], labels: Labels | None, message: str
) -> None:
    with pytest.raises(DataError, match=f"y {message}"):
        indices_of(np.array(values), classes, "y", labels)


def test_large_labels_keep_their_digits() -> None:
    names = tuple(str(2**53 + k) for k in range(3))
    assert indices_of(np.array([2**53 + 1, 2**53 + 2]), names, "y", None).tolist() == [1, 2]
    assert indices_of(np.array([2**63 + 1], np.uint64), (str(2**63 + 1), "x"), "y", None).tolist() == [0]
