import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models.bundles.signature import Input
from caveat.service.rest.content.document import cut_out, without_rows

PLAIN = Input(name="x", dtype="float32", shape=("rows", 2))
IMAGE = Input(name="image", dtype="float32", shape=("rows", 2, 2))
TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"))


def apart(raw: bytes, *inputs: Input) -> tuple[Any, Any] | None:
    """Return the rows, and the document without them."""
    cut = cut_out(raw, inputs)
    if cut is None:
        return None
    try:
        rest = orjson.loads(cut[1])
    except orjson.JSONDecodeError:
        return None
    return (cut[0], rest) if rest.get("inputs") == without_rows(inputs) else None


def read(body: str, *inputs: Input) -> Any:
    found = apart(body.encode(), *inputs)
    assert found
    return found[0]


def test_rows_of_numbers_become_an_array() -> None:
    raw = b'{"samples": 5, "inputs": [[1, 2.5], [-3, 4e-1]], "quantiles": [0.1]}'
    found = apart(raw, PLAIN)
    assert found
    np.testing.assert_array_equal(found[0], [[1, 2.5], [-3, 0.4]])
    assert found[1] == {"samples": 5, "inputs": [], "quantiles": [0.1]}


def test_several_inputs_become_arrays() -> None:
    rows = {"tokens": [[1, 2, 3]], "image": [[[1, 2], [3, 4]]]}
    found = read(json.dumps({"inputs": rows}), IMAGE, TOKENS)
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
def test_other_rows_are_not_cut_out(rows: object) -> None:
    assert apart(orjson.dumps({"inputs": rows, "sampler": "["}), PLAIN) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[1]",
        b"3",
        b'"x"',
        b'{"a": 1}',
        b'{"inputs": [[1, 2]], "inputs": [[3]]}',
        b'{"a": {"inputs": [[1, 2]]}}',
        b'{"inputs": [[NaN, 1]]}',
        b'{"inputs": [[1e400, 1]]}',
        b'{"inputs": [[123456789012345678901234567890, 1]]}',
        b'{"inputs": [[1, 2]]} x',
        b'{"inputs": [[1, 2]',
        b'{"inputs": [[1, 2]]',
        b'{"inputs": [[1, 2],]}',
        b"\xff",
    ],
)
def test_other_documents_are_not_cut(raw: bytes) -> None:
    assert apart(raw, PLAIN) is None


def test_floats_are_not_read_as_integers() -> None:
    assert apart(b'{"inputs": [[1.5, 2]]}', TOKENS) is None


@pytest.mark.parametrize("spec", [PLAIN, IMAGE, TOKENS, Input(name="x", dtype="float64", shape=("rows",))])
@pytest.mark.parametrize("indent", [None, 1])
def test_many_rows_are_read_piece_by_piece(spec: Input, indent: int | None) -> None:
    shape = (20_000, *(3 if isinstance(size, str) else size for size in spec.shape[1:]))
    rows = np.random.default_rng(0).integers(-100, 100, shape)
    body = json.dumps({"samples": 3, "inputs": rows.tolist(), "tolerance": 1}, indent=indent)
    np.testing.assert_array_equal(read(body, spec), rows)


@pytest.mark.parametrize(("last", "spec"), [([1, 2, 3], TOKENS), ([1, 1e39], PLAIN)])
def test_one_misfit_among_many_rows_prevents_the_cut(last: list[float], spec: Input) -> None:
    assert apart(json.dumps({"inputs": [[1, 2]] * 20_000 + [last]}).encode(), spec) is None


@given(
    rows=st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1
    )
)
@settings(deadline=None)
def test_numbers_are_read_to_the_last_bit(rows: list[list[float]]) -> None:
    assert read(json.dumps({"inputs": rows}), PLAIN).tolist() == rows
