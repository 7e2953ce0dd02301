"""Large bodies: what they hold in memory, and what is said of those that do not fit."""

import gc
import json
import random
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import orjson
import pytest

from caveat.models.bundles.features import Feature
from caveat.models.bundles.signature import Input, encode
from caveat.models.errors import InputError
from caveat.service.rest.content.pieces import LARGE, Reading
from caveat.service.rest.problems import RequestError
from tests.service.serving import Service, serving

POINTS = Input(name="x", dtype="float32", shape=("rows", 3))
PAIRS = Input(name="pairs", dtype="float32", shape=("rows", "length", 2))
PATHS = Input(name="paths", dtype="float32", shape=("rows", "length", "width"))
TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"), below=100)
IMAGES = Input(name="image", dtype="float32", shape=("rows", 300, 300))
NUMBERS = Input(name="numbers", dtype="float64", shape=("rows",))
RECORDS = Input(
    name="record",
    dtype="float32",
    shape=("rows", 3),
    features=(
        Feature(name="age", missing=True),
        Feature(name="pet", categories=("cat", "}, {"), other=True),
        Feature(name="kind", categories=("a", "b")),
    ),
)
SIZE = 2**23


def read(raw: bytes, *inputs: Input, max_rows: int = 10**7) -> tuple[object, bytes]:
    return Reading(bytearray(raw), max_rows, lambda: None).read(inputs)


def body(rows: object, **options: object) -> bytes:
    return json.dumps({"seed": 1, "inputs": rows, "samples": 5} | options).encode()


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (POINTS, (60_000, 3)),
        (PAIRS, (3, 40_000, 2)),
        (PAIRS, (30_000, 3, 2)),
        (PATHS, (2, 2, 90_000)),
        (PATHS, (1, 90_000, 1)),
        (TOKENS, (4, 100_000)),
        (TOKENS, (90_000, 2)),
        (IMAGES, (3, 300, 300)),
        (NUMBERS, (300_000,)),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_rows_of_any_size_are_read(spec: Input, shape: tuple[int, ...], indent: int | None) -> None:
    rows = np.random.default_rng(0).integers(0, 99, shape)
    raw = json.dumps({"inputs": rows.tolist(), "quantiles": [0.5] * 9000}, indent=indent).encode()
    array, rest = read(raw, spec)
    np.testing.assert_array_equal(array, rows)
    assert orjson.loads(rest) == {"inputs": [], "quantiles": [0.5] * 9000}


@pytest.mark.parametrize("pet", ["cat", "}, {", 'a text, [of] {any} "kind" \\', "é" * 500])
def test_rows_with_features_are_read(pet: str) -> None:
    chance = random.Random(0)
    rows = [{"kind": "ab"[row % 2], "age": chance.choice((None, row)), "pet": pet} for row in range(9000)]
    array, _ = read(body(rows), RECORDS)
    np.testing.assert_array_equal(array, RECORDS.encode(rows))
    named, rest = read(body({"record": rows, "numbers": list(range(9000))}), NUMBERS, RECORDS)
    assert isinstance(named, dict)
    np.testing.assert_array_equal(named["record"], array)
    assert orjson.loads(rest)["inputs"] == []


def test_small_rows_before_a_large_one_are_of_several_sizes() -> None:
    rows = [[[1, 2]]] * 2000 + [[[1, 2]] * 100_000]
    with pytest.raises(InputError, match="expected rows of one size, got rows of several sizes"):
        read(body(rows), PAIRS)


MISFITS: tuple[object, ...] = (
    [1, 2],
    [1, 2, 3, 4],
    [1, True, 3],
    [1, "2", 3],
    [1, None, 3],
    5,
    "x",
    None,
    {},
)


def small(rows: object) -> str:
    """Say what is wrong with points in a small body."""
    try:
        POINTS.refuse_misfits(rows)
        encode((POINTS,), rows)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("misfit", [*MISFITS, [[1], 2, 3], [1, [2], 3], [], [1, 1e39, 3], [1, {"a": [1]}, 3]])
@pytest.mark.parametrize("row", [0, 3, 29_999])
def test_a_misfit_is_told_as_in_a_small_body(misfit: object, row: int) -> None:
    rows: list[object] = [[1, 2, 3]] * 30_000
    rows[row] = misfit
    with pytest.raises(InputError) as told:
        read(body(rows), POINTS)
    assert str(told.value) == small(rows)


@pytest.mark.parametrize("misfit", [[], [1], [1, 2, 3], [1, "2"], 7, "x", [[1], 2], None])
def test_a_misfit_within_a_long_row_is_told_with_its_place(misfit: object) -> None:
    row: list[object] = [[1, 2]] * 90_000
    row[70_000] = misfit
    with pytest.raises(InputError) as told:
        read(body([[[1, 2]] * 90_000, row]), PAIRS)
    with pytest.raises(InputError) as small:
        PAIRS.refuse_misfits([[[1, 2]], row])
    assert str(told.value) == str(small.value)


@pytest.mark.parametrize(
    "change", [{"age": "x"}, {"age": True}, {"kind": None}, {"kind": "c"}, {"kind": {"a": 1}}, {"more": 1}]
)
def test_a_record_that_does_not_fit_is_told_as_in_a_small_body(change: dict[str, object]) -> None:
    rows: list[object] = [{"age": 1, "pet": "}, {", "kind": "a"}] * 20_000
    for row in (15_000, 19_999):
        rows[row] = {"age": 1, "pet": "cow", "kind": "a"} | change
    with pytest.raises(InputError) as told:
        read(body(rows), RECORDS)
    with pytest.raises(InputError) as small:
        encode((RECORDS,), rows)
    assert str(told.value) == str(small.value)
    assert told.value.rows == small.value.rows


@pytest.mark.parametrize(
    "twice", [b'"age": 1, "age": 1', b'"age": 1, "\\u0061ge": 1', b'"kind": "a", "age": 1']
)
def test_a_key_that_a_record_has_twice_is_refused(twice: bytes) -> None:
    whole = b'{"age": 1, "pet": "a: \\"b\\": {", "kind": "a"}'
    raw = b'{"inputs": [%b{%b, "pet": "x", "kind": "a"}]}' % ((whole + b", ") * 5000, twice)
    with pytest.raises(InputError, match=r"(age|kind): expected one value, got several"):
        read(raw, RECORDS)


@pytest.mark.parametrize(
    "bad",
    [
        b"NaN",
        b"-Infinity",
        b"01",
        b"1e400",
        b"'1'",
        b"1 2",
        b"/**/1",
        b"\xff",
        b"tru",
        b'"\\ud800',
        b"]",
        b"}",
    ],
)
@pytest.mark.parametrize("spec", [POINTS, NUMBERS, RECORDS])
def test_what_is_not_json_is_refused(spec: Input, bad: bytes) -> None:
    record = b'{"pet": "cat", "kind": "a", "age": %b}, '
    good = {"x": b"[1, 2, %b], ", "numbers": b"%b, ", "record": record}[spec.name]
    raw = b'{"inputs": [%b%b' % ((good % b"1") * 20_000, good % bad)
    for end in (b"", good % b"1", (good % b"1")[:-2] + b"]}"):
        with pytest.raises((RequestError, InputError)) as told:
            read(raw + end, spec)
        assert not isinstance(told.value, RequestError) or "not JSON" in told.value.detail


def test_more_rows_than_the_limit_end_the_reading() -> None:
    for spec, row in ((POINTS, [1, 2, 3]), (NUMBERS, 1), (RECORDS, {"age": 1, "pet": "cat", "kind": "a"})):
        raw = body([row] * 50_000)
        assert read(raw, spec, max_rows=50_000)
        with pytest.raises(RequestError, match="one request may hold 4096") as refused:
            read(raw + b"nonsense", spec, max_rows=4096)
        assert refused.value.status == 413


def test_the_reading_ends_as_soon_as_the_check_says() -> None:
    count = 0

    def check() -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        Reading(body([[1, 2, 3]] * 60_000), 10**6, check).read([POINTS])


def test_a_row_that_is_too_long_ends_the_reading() -> None:
    """At the first piece beyond, whatever follows it."""
    for raw in (b"1," * 10**6, b"1," * 10**6 + b"nonsense"):
        count = 0

        def check() -> None:
            nonlocal count
            count += 1

        with pytest.raises(InputError, match=r"a list of \d+ or more"):
            Reading(b'{"inputs": [[[%b' % raw, 10, check).read([IMAGES])
        assert count < 3


@pytest.mark.parametrize("place", range(6))
def test_more_blanks_than_a_mebibyte_are_refused(place: int) -> None:
    pieces = [b'{"inputs"', b":", b"[", b"[1, 2, 3]", b", [1, 2, 3]", b"]}"]
    pieces.insert(place, b" " * 2**21)
    with pytest.raises((InputError, RequestError)):
        read(b"".join(pieces), POINTS)


def full(piece: bytes, head: bytes = b'{"inputs": [', tail: bytes = b"]}") -> bytes:
    return head + piece * ((SIZE - len(head) - len(tail)) // len(piece)) + tail


NASTY = {
    "lists of one": full(b"[1],"),
    "lists of one in a row": full(b"[1],", b'{"inputs": [['),
    "lists of two and a wrong one": full(b"[1,2],", b'{"inputs": [[', b"[1]]]}"),
    "empty lists": full(b"[],"),
    "deep lists": full(b"["),
    "deep lists of a row": full(b"[", b'{"inputs": [[[1, 2], '),
    "ends of lists": full(b"]"),
    "empty objects": full(b"{},"),
    "deep objects": full(b'{"a":'),
    "deep objects before": full(b'{"a":', b""),
    "fields": full(b'"a":1,', b"{"),
    "fields behind": full(b'"a":1,', b'{"inputs": [[1, 2, 3]],', b'"b":1}'),
    "texts": full(b'"a",'),
    "a text": full(b"a", b'{"inputs": ["'),
    "a text of brackets": full(b"]],", b'{"inputs": ["', b'"]}'),
    "a text that ends rows": full(b"},{", b'{"inputs": [{"age":1,"kind":"a","pet":"', b'"}]}'),
    "a text of escapes": full(b'\\"', b'{"inputs": [{"age":1,"kind":"a","pet":"', b'"}]}'),
    "a text of four bytes a letter": full("\U0001f600".encode(), b'{"inputs": [{"pet":"', b'"}]}'),
    "large integers": full(b"18446744073709551616,", b'{"inputs": [[[', b"true]]]}"),
    "one integer": full(b"9", b'{"inputs": [[[', b"]]]}"),
    "blanks": full(b" ", b'{"inputs": [', b"[1e999]]}"),
    "records": full(b'{"age":1},'),
    "odd records": full(b'{"age":1,"kind":"a","pet":{"a":[1,2,{}]}},'),
    "nulls": full(b"null,"),
    "small rows, then a wrong one": full(b"[1,2],", b'{"inputs": [' + b"[[1,2]]," * 2300 + b"[", b"[1]]]}"),
}


@pytest.mark.parametrize("raw", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("spec", [POINTS, PAIRS, PATHS, TOKENS, NUMBERS, RECORDS], ids=lambda spec: spec.name)
def test_what_does_not_fit_is_refused_in_little_memory(spec: Input, raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((RequestError, InputError)):
            read(raw, spec, max_rows=4096)
        assert tracemalloc.get_traced_memory()[1] < 3 * SIZE
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def service(bundles: Path) -> Iterator[Service]:
    with serving(bundles, "--default-model", "tabular", "--max-rows", "4096") as running:
        yield running


@pytest.mark.parametrize("route", ["/predict", "/models/linear/predict"])
def test_large_bodies_that_do_not_fit_hold_no_memory(service: Service, route: str) -> None:
    before = service.resident()
    for raw in NASTY.values():
        assert service.send(route, raw).status_code in (400, 413, 422)
    assert service.resident() - before < 64e6


def test_a_body_is_read_alike_below_and_above_the_size_of_a_large_one(service: Service) -> None:
    rows = b"[1, 2, 3]" + b", [1, 2, 3]" * 1000
    answers = set()
    for size in (len(rows), LARGE - 100, LARGE + 100):
        raw = b'{"inputs": [%b]}' % rows.ljust(size)
        answers.add(service.send("/models/linear/predict/uncertainty", raw).content)
    assert len(answers) == 1


def test_a_body_that_is_read_past_the_deadline_gets_no_answer(bundles: Path) -> None:
    raw = b'{"inputs": [%b[1, 2, 3]]}' % (b"[1, 2, 3]," * 700_000)
    flags = ("--timeout", "0.01", "--max-rows", "1000000")
    with serving(bundles, *flags) as hurried, ThreadPoolExecutor(3) as clients:
        asked = clients.map(lambda _: hurried.send("/models/linear/predict", raw), range(3))
        answers = list(asked)
        assert [answer.status_code for answer in answers] == [504] * 3
        assert all("no answer in time" in answer.json()["detail"] for answer in answers)


@pytest.mark.parametrize("bad", [r'{"\ud800": 1}', r'{"age": "\udfff"}', r'"\ud83d"'])
def test_half_characters_are_refused(bad: str) -> None:
    raw = ('{"inputs": [' + bad + "]" + " " * 2**18 + "}").encode()
    with pytest.raises((RequestError, InputError)) as told:
        read(raw, RECORDS)
    str(told.value).encode()


def test_a_misfit_leaves_nothing_in_memory() -> None:
    """Nothing that only a collection of garbage would free."""
    raw = body([{"age": 1, "pet": "x", "kind": "unknown"}] * 20_000)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            try:
                read(raw, RECORDS)
            except InputError as error:
                error.__traceback__ = None  # as the verbs do, who alone hold it
        found = [each for each in gc.get_objects() if type(each) is InputError]
    finally:
        gc.enable()
    assert not found
