import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle, BundleError, pack
from caveat.models.bundles.store import BUNDLED, find, load
from caveat.models.engines.openvino import OpenVino
from caveat.models.errors import CaveatError
from caveat.models.predictor import Predictor
from tests.bfloat16 import HAS_BFLOAT16, needs_bfloat16
from tests.bundles import linear_regression
from tests.models.damage.graphs import graph

DIGITS = load(find(BUNDLED / "digits"))
ROWS = np.random.default_rng(0).integers(0, 17, (40, 8, 8)).astype(np.float32)
(NAME,) = (spec.name for spec in DIGITS.manifest.inputs)


@cache
def half(threads: int = 1) -> Predictor:
    return Predictor(DIGITS, threads, precision="bfloat16")


@cache
def together() -> NDArray[np.floating]:
    return half().some_passes({NAME: ROWS}, 0, "stratified", 0, 60)


@needs_bfloat16
@given(
    rows=st.lists(st.integers(0, 39), min_size=1, max_size=20),
    start=st.integers(0, 59),
    count=st.integers(1, 60),
    threads=st.sampled_from([1, 2]),
)
@settings(deadline=None, max_examples=40)
def test_a_row_has_the_same_bits_in_any_batch_and_any_chunk(
    rows: list[int], start: int, count: int, threads: int
) -> None:
    stop = min(start + count, 60)
    found = half(threads).some_passes({NAME: ROWS[rows]}, 0, "stratified", start, stop)
    np.testing.assert_array_equal(found, together()[start:stop, rows])


@needs_bfloat16
def test_answers_in_bfloat16_are_close_to_those_in_float32() -> None:
    exact = Predictor(DIGITS).some_passes({NAME: ROWS}, 0, "stratified", 0, 60)
    rounded = together()
    assert exact.dtype == rounded.dtype
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(rounded, exact, atol=0.05)
    np.testing.assert_allclose(rounded.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        half().predict({NAME: ROWS}), Predictor(DIGITS).predict({NAME: ROWS}), atol=0.05
    )


def test_a_file_that_is_not_a_graph_is_refused() -> None:
    bundle = linear_regression()
    broken = Bundle(bundle.manifest, {**bundle.files, PREDICT: b"no graph"})
    with pytest.raises(BundleError, match=r"linear/1/predict.onnx: the graph is not a valid protocol buffer"):
        Predictor(broken, precision="bfloat16")


@pytest.mark.skipif(HAS_BFLOAT16, reason="this CPU computes in bfloat16")
def test_a_cpu_that_does_not_compute_in_bfloat16_is_named() -> None:
    with pytest.raises(
        CaveatError, match=r"this CPU \(.+\) does not compute in bfloat16; leave the precision"
    ):
        Predictor(DIGITS, precision="bfloat16")


def test_without_openvino_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(CaveatError, match=r"pip install '\.\[bfloat16\]' in Caveat's folder"):
        OpenVino(bytes(DIGITS.files[PASSES]), {}, threads=1)


def looking_up(operator: str, *inputs: str) -> Bundle:
    """Make a bundle whose rows choose where a graph looks."""
    content = graph(
        [
            helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
            helper.make_node(operator, ["x", *inputs], ["b"]),
        ],
        "b",
    )
    bundle = linear_regression()
    return pack(bundle.manifest, {**bundle.files, PREDICT: content})


@pytest.mark.parametrize(("operator", "inputs"), [("GatherND", "i"), ("ScatterElements", "ix")])
def test_a_graph_that_looks_where_rows_say_is_refused(operator: str, inputs: str) -> None:
    words = f"indices that this engine does not check, with {operator}"
    with pytest.raises(BundleError, match=words):
        Predictor(looking_up(operator, *inputs), precision="bfloat16")
