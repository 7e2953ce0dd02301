import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.signature import Input
from service.document import loads

PLAIN = Input(name="x", dtype="float32", shape=("rows", 2))
IMAGE = Input(name="image", dtype="float32", shape=("rows", 2, 2))
TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"))


def test_rows_of_numbers_become_an_array() -> None:
    document = loads(b'{"samples": 5, "inputs": [[1, 2.5], [-3, 4e-1]], "quantiles": [0.1]}', [PLAIN])
    np.testing.assert_array_equal(document.pop("inputs"), [[1, 2.5], [-3, 0.4]])
    assert document == {"samples": 5, "quantiles": [0.1]}


def test_several_inputs_become_arrays() -> None:
    rows = {"tokens": [[1, 2, 3]], "image": [[[1, 2], [3, 4]]]}
    found = loads(json.dumps({"inputs": rows}).encode(), [IMAGE, TOKENS])["inputs"]
    assert found.keys() == rows.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, rows[name])
    assert found["tokens"].dtype == np.int64


@pytest.mark.parametrize(
    "rows",
    [
        [[1, [2]]],
        [[[1, 2]]],
        [[1, 2], [3]],
        [[1, 2, 3]],
        [1, 2],
        [[1, True]],
        [[1, "2"]],
        [[1, None]],
        [[1, {}]],
        [],
        [[]],
        {"a": [[1, 2]]},
        "[[1,2]]",
        3,
    ],
)
def test_other_rows_stay_as_they_are(rows: object) -> None:
    document = {"inputs": rows, "sampler": "["}
    assert loads(orjson.dumps(document), [PLAIN]) == document


@pytest.mark.parametrize("raw", [b"[1]", b"3", b'"x"', b'{"a": 1}', b'{"inputs": [[1, 2]], "inputs": [[3]]}'])
def test_other_documents_stay_as_they_are(raw: bytes) -> None:
    assert loads(raw, [PLAIN]) == orjson.loads(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b'{"inputs": [[NaN, 1]]}', b'{"inputs": [[1, 2]]} x', b"\xff"])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        loads(raw, [PLAIN])


def test_integers_that_no_array_holds_are_left() -> None:
    assert loads(b'{"inputs": [[1.5, 2]]}', [TOKENS]) == {"inputs": [[1.5, 2]]}
    assert loads(b'{"inputs": [[123456789012345678901234567890, 1]]}', [PLAIN])["inputs"][0][0] > 1e29


@given(
    rows=st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1
    )
)
def test_numbers_are_read_to_the_last_bit(rows: list[list[float]]) -> None:
    found = loads(json.dumps({"inputs": rows}).encode(), [PLAIN])["inputs"]
    assert found.tolist() == rows
