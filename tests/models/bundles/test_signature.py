import math

import numpy as np
import pytest

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input, encode, refuse_non_numbers
from caveat.models.errors import InputError

IMAGE = Input(name="image", dtype="float32", shape=("rows", 2, 3))
TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"))
TABLE = Input(
    name="table",
    dtype="float64",
    shape=("rows", 2),
    features=(Feature(name="age"), Feature(name="plan", categories=("basic", "true", "7"))),
)
GOOD = [[1, 2, 3], [4, 5, 6]]


def test_rows_become_an_array_of_the_signature() -> None:
    array = IMAGE.encode([GOOD, GOOD])
    assert array.dtype == np.float32
    assert array.shape == (2, 2, 3)
    assert array.flags.c_contiguous


def test_a_free_dimension_takes_any_size() -> None:
    assert TOKENS.encode([[1, 2, 3, 4]]).shape == (1, 4)


def test_features_are_read_by_name_and_categories_become_codes() -> None:
    rows = [{"age": 1_700_000_000.25, "plan": "basic"}, {"plan": True, "age": 4}, {"age": 5, "plan": 7}]
    assert TABLE.encode(rows).tolist() == [[1_700_000_000.25, 0], [4, 1], [5, 2]]


def test_several_inputs_are_read_by_name() -> None:
    arrays = encode((IMAGE, TOKENS), {"image": [GOOD], "tokens": [[1, 2]]})
    assert {name: array.shape for name, array in arrays.items()} == {"image": (1, 2, 3), "tokens": (1, 2)}


@pytest.mark.parametrize(
    ("spec", "rows", "message"),
    [
        (IMAGE, None, "inputs: expected a list of at least one row, got null"),
        (IMAGE, [], "inputs: expected a list of at least one row, got a list of 0"),
        (IMAGE, {"a": 1}, 'inputs: expected a list of at least one row, got an object with the fields "a"'),
        (
            TOKENS,
            [[2**63]],
            f"inputs[0][0]: expected an integer from {1 - 2**63} to {2**63 - 1}, got {2**63}",
        ),
        (IMAGE, GOOD, "inputs[0]: expected a list of 2 lists of 3 numbers, got a list of 3"),
        (IMAGE, [GOOD, [[1, 2, 3], [4, 5]]], "inputs[1][1]: expected a list of 3 numbers, got a list of 2"),
        (IMAGE, [[[1, 2, 3], [4, "5", 6]]], 'inputs[0][1][1]: expected a number, got "5"'),
        (IMAGE, [[[1, 2, 3], [4, None, 6]]], "inputs[0][1][1]: expected a number, got null"),
        (IMAGE, [[[1, 2, 3], [4, {}, 6]]], "inputs[0][1][1]: expected a number, got an empty object"),
        (
            IMAGE,
            [[[1, 2, 3], [4, 1e39, 6]]],
            "inputs[0][1][1]: expected a finite number that float32 can hold, got 1e+39",
        ),
        (
            IMAGE,
            [[[1, 2, 3], [4, math.inf, 6]]],
            "inputs[0][1][1]: expected a finite number that float32 can hold, got inf",
        ),
        (TOKENS, [[1, 2.5]], "inputs[0][1]: expected an integer, got 2.5"),
        (TOKENS, [[1, 2], [3]], "inputs: expected rows of one size in a list of at least one of numbers, "),
        (TOKENS, [[]], "inputs[0]: expected a list of at least one of numbers, got a list of 0"),
        (TABLE, [[1, 2]], "inputs[0]: expected an object with the fields age, plan, got a list of 2"),
        (TABLE, [{"age": 1}], "inputs[0].plan: expected a value, got nothing"),
        (
            TABLE,
            [{"age": 1, "plan": "basic", "x": 1}],
            "inputs[0].x: expected only the fields age, plan, got",
        ),
        (TABLE, [{"age": "1", "plan": "basic"}], 'inputs[0].age: expected a number, got "1"'),
        (TABLE, [{"age": True, "plan": "basic"}], "inputs[0].age: expected a number, got true"),
        (TABLE, [{"age": math.nan, "plan": "basic"}], "inputs[0].age: expected a finite number, got nan"),
        (
            TABLE,
            [{"age": 1, "plan": "gold"}],
            'inputs[0].plan: expected one of "basic", "true", "7", got "gold"',
        ),
        (TABLE, [{"age": 1, "plan": ["basic"]}], "inputs[0].plan: expected one of"),
    ],
)
def test_the_error_names_the_first_value_that_does_not_fit(spec: Input, rows: object, message: str) -> None:
    with pytest.raises(InputError) as refused:
        spec.encode(rows)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD], "inputs: expected an object with the fields image, tokens, got a list of 1"),
        ({"image": [GOOD]}, "inputs: expected an object with the fields image, tokens"),
        ({"image": [GOOD], "tokens": 3}, "inputs.tokens: expected a list of at least one row, got 3"),
        ({"image": [GOOD], "tokens": [[1], [2]]}, "inputs: expected the same number of rows in every input"),
    ],
)
def test_several_inputs_that_do_not_fit_are_refused(rows: object, message: str) -> None:
    with pytest.raises(InputError) as refused:
        encode((IMAGE, TOKENS), rows)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("rows", [[[[1, 2, 3], [4, True, 6]]], [[[1, 1, 1], [1, True, True]]]])
def test_booleans_are_refused_though_numpy_would_convert_them(rows: object) -> None:
    assert IMAGE.encode(rows)[0, 1, 1] == 1
    with pytest.raises(InputError, match=r"inputs\[0\]\[1\]\[1\]: expected a number, got true"):
        refuse_non_numbers(rows)


def test_nesting_beyond_the_limit_of_numpy_is_refused() -> None:
    deep: list[object] = [1.0]
    for _ in range(200):
        deep = [deep]
    with pytest.raises(InputError, match="expected a list of 2 lists"):
        IMAGE.encode(deep)


@pytest.mark.parametrize("odd", ["x", None])
def test_a_wrong_value_is_found_after_many_right_ones(odd: object) -> None:
    rows: list[list[object]] = [[0.5] * 1000 for _ in range(500)]
    rows[-1][-1] = odd
    with pytest.raises(InputError, match=r"inputs\[499\]\[999\]: expected a number, got"):
        Input(name="x", dtype="float32", shape=("rows", 1000)).encode(rows)


LEAST = -(2**63)


@pytest.mark.parametrize(
    "rows",
    [
        [[LEAST]],
        [[1, LEAST]],
        [[2**63]],
        [[2**64 - 1]],
        np.array([[LEAST]]),
        np.array([[2**63]], np.uint64),
        np.array([[2**64 - 1, 0]], np.uint64),
    ],
)
@pytest.mark.parametrize("below", [None, 100, 2**80])
def test_integers_that_int64_has_no_negative_of_are_refused(rows: object, below: int | None) -> None:
    spec = TOKENS.model_copy(update={"below": below})
    with pytest.raises(InputError, match=r"inputs\[0\]\[[01]\]: expected an integer from \S+ to \d+, got"):
        spec.encode(rows)


def test_all_other_integers_are_taken() -> None:
    rows = [[LEAST + 1, -1, 0, 2**63 - 1]]
    assert TOKENS.encode(rows).tolist() == rows
    assert TOKENS.encode(np.array([[0, 2**63 - 1]], np.uint64)).tolist() == [[0, 2**63 - 1]]


@pytest.mark.parametrize("rows", [[[1.0]], [[-9.3e18]], np.array([[1.0]]), np.array([[1.0]], np.float32)])
def test_floating_point_numbers_are_no_integers(rows: object) -> None:
    with pytest.raises(InputError, match=r"expected .*integer"):
        TOKENS.encode(rows)


COUNTS = Input(name="x", dtype="int64", shape=("rows", 1), features=(Feature(name="count"),))


@pytest.mark.parametrize("count", [LEAST, 2**63, 1e300, -1e19, 1.5])
def test_features_of_integers_take_integers_of_the_same_range(count: float) -> None:
    with pytest.raises(InputError, match=r"inputs\[1\].count: expected an integer from -\d+ to \d+, got"):
        COUNTS.encode([{"count": 7}, {"count": count}])
    assert COUNTS.encode([{"count": 7}, {"count": -3.0}]).tolist() == [[7], [-3]]
