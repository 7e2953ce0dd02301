"""The check of a graph's file agrees with what the parser of protocol buffers reads."""

import math
from collections.abc import Iterator

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models.bundles.bundle import PASSES, PREDICT, WEIGHTS
from caveat.models.bundles.store import BUNDLED, find, load
from caveat.models.graphs import structure
from tests.models.damage.graphs import apart, endless, loop, plain

DIGITS = load(find(BUNDLED / "digits"))
FILES = {"weights.bin": 64}


@pytest.mark.parametrize("file", [PREDICT, PASSES])
def test_an_exported_graph_is_accepted(file: str) -> None:
    weights = structure.check(bytes(DIGITS.files[file]), {WEIGHTS: len(DIGITS.files[WEIGHTS])})
    assert {math.prod(weight.shape) for weight in weights} == {64 * 128, 128 * 10}


@pytest.mark.parametrize("content", [plain(), endless(3), apart("weights.bin", offset="52")])
def test_a_graph_written_by_hand_is_accepted(content: bytes) -> None:
    structure.check(content, FILES)


def test_a_weight_has_a_name_that_no_other_tensor_can_have() -> None:
    content = apart("weights.bin", name="wwwwww").replace(b"wwwwww", b"wwwww\xff")
    with pytest.raises(ValueError, match="whose name is no UTF-8"):
        structure.check(content, FILES)


def test_a_graph_cut_off_anywhere_is_refused_or_can_be_parsed() -> None:
    content = endless(3)
    accepted = [length for length in range(len(content)) if _accepts(content[:length])]
    for length in accepted:  # those that end between two fields of the file
        onnx.load_from_string(content[:length])
    assert len(accepted) < 10


# A second operator, location or graph is appended to the first: parsers use the last.
APPENDED = [
    b"\x3a\x07\x0a\x05\x22\x03Add",
    b"\x3a\x08\x0a\x06\x22\x04Loop",
    b"\x3a\x0b\x0a\x09\x22\x03Add\x22\x02If",
    apart("secret"),
    apart("secret", inside="branch"),
    apart("weights.bin", inside="constant"),
    loop(),
]


@settings(max_examples=500, deadline=None)
@given(
    content=st.sampled_from([apart("weights.bin"), apart("weights.bin", offset="52"), endless(3), b""]),
    appended=st.lists(st.sampled_from(APPENDED), max_size=2),
    changes=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=3),
)
def test_an_accepted_graph_has_nothing_that_should_be_refused(
    content: bytes, appended: list[bytes], changes: list[tuple[int, int]]
) -> None:
    mixed = bytearray(b"".join([content, *appended]))
    for place, byte in changes:
        if place < len(mixed):
            mixed[place] = byte
    if not _accepts(bytes(mixed)):
        return
    try:
        model = onnx.load_from_string(bytes(mixed))
    except DecodeError:
        return  # an engine can't read it either
    for depth, inner in _graphs(model.graph, 0):
        for node in inner.node:
            assert node.op_type != "Loop"
            assert node.domain in ("", "ai.onnx")
            assert not any(each.t.external_data for each in node.attribute)
        for tensor in inner.initializer:
            place_of = {entry.key: entry.value for entry in tensor.external_data}
            assert tensor.data_location == onnx.TensorProto.DEFAULT or (depth == 0 and place_of)
            assert not place_of or place_of["location"] == "weights.bin"


def _accepts(content: bytes) -> bool:
    try:
        structure.check(content, FILES)
    except ValueError:
        return False
    return True


def _graphs(found: onnx.GraphProto, depth: int) -> Iterator[tuple[int, onnx.GraphProto]]:
    yield depth, found
    for node in found.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                if inner.node or inner.initializer:
                    yield from _graphs(inner, depth + 1)
