import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Cost
from caveat.models.bundles.signature import Input
from caveat.service.rest.content.volume import SMALL, refuse_more_than, refuse_too_large_rows
from caveat.service.rest.problems import RequestError
from tests.bundles import tabular
from tests.service.serving import Service, serving, until

IMAGE = Input(name="image", dtype="float32", shape=("rows", 8, 8))
TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"))
TABLE = Input(
    name="table",
    dtype="float64",
    shape=("rows", 2),
    features=(Feature(name="age"), Feature(name="a, b", categories=("[x], {y}", "z"))),
)
LIMIT = 33_000_000


def fits(body: bytes, *inputs: Input, max_rows: int) -> bool:
    try:
        refuse_more_than(body, inputs, max_rows)
    except RequestError as error:
        return error.status != 413
    return True


def body(rows: object) -> bytes:
    return orjson.dumps({"samples": 100, "seed": 0, "inputs": rows}).ljust(SMALL + 1)


OPEN = Input(
    name="open",
    dtype="float64",
    shape=("rows", 2),
    features=(
        Feature(name="pet", categories=("cat",), other=True),
        Feature(name="day", dates="%B %d, %Y"),
    ),
)


@pytest.mark.parametrize("text", ["[,{" * 1000, '",[' * 1000, "\\" * 999, '\\"[,' * 1000, '\\\\", [' * 500])
def test_an_unknown_category_may_be_any_text(text: str) -> None:
    rows = [{"pet": text, "day": "March 1, 2026"}] * 500
    assert fits(body(rows), OPEN, max_rows=500)
    assert fits(body(rows[:2]).ljust(3 * SMALL), OPEN, max_rows=2)
    assert not fits(body([*rows, *([[]] * 2000)]), OPEN, max_rows=500)
    assert not fits(body([{"pet": text, "day": [0] * 1000}] * 500), OPEN, max_rows=500)


def test_a_text_that_never_ends_hides_nothing_that_is_parsed() -> None:
    begun = b'{"inputs": [{"pet": "'
    assert fits(begun + b"[," * SMALL, OPEN, max_rows=1)  # the parser finds no end of the text either
    assert not fits(b"[" * SMALL * 2 + begun, OPEN, max_rows=1)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_as_many_values_as_the_allowed_rows_hold_are_accepted_and_no_more(count: int) -> None:
    image = np.zeros((8, 8)).tolist()
    row = {"age": 1, "a, b": "[x], {y}"}
    assert fits(body([image] * count * 3), IMAGE, max_rows=12) == (count < 5)
    assert fits(body([row] * count * 10), TABLE, max_rows=40) == (count < 5)
    both = {"image": [image] * count * 3, "table": [row] * count * 3}
    assert fits(body(both), IMAGE, TABLE, max_rows=12) == (count < 5)


def test_rows_of_a_free_size_may_have_any_number_of_values() -> None:
    assert fits(body([[0] * 5000] * 3), TOKENS, max_rows=3)
    assert not fits(body([[0]] * 30), TOKENS, max_rows=3)


def test_a_small_body_is_not_checked() -> None:
    assert fits(b"[" * SMALL, IMAGE, max_rows=1)


@pytest.fixture(scope="module")
def service(bundles: Path) -> Iterator[Service]:
    with serving(bundles, "--default-model", "tabular", "--max-rows", "4096") as running:
        yield running


@pytest.mark.parametrize("route", ["/predict", "/models/linear/predict"])
@pytest.mark.parametrize("row", [b"[],", b"{},", b"0,", b"[[[[]]]],"])
def test_many_empty_rows_take_no_more_memory_than_their_bytes(
    service: Service, route: str, row: bytes
) -> None:
    content = b'{"inputs": [%s0]}' % (row * (LIMIT // len(row)))
    before = service.resident()
    response = service.send(route, content)
    assert response.status_code == 413
    assert "4096 rows" in response.json()["detail"]
    assert service.resident() - before < 150e6


def test_empty_rows_are_refused_sooner_than_as_many_bytes_of_rows_are_answered(service: Service) -> None:
    point = b"[1.%s, 2, 3]," % (b"0" * 8000)
    good = b'{"inputs": [%s[1, 2, 3]]}' % (point * 4000)
    bad = b'{"inputs": [%s[1, 2, 3]]}' % (b"[]," * (len(good) // 3))
    seconds = {good: math.inf, bad: math.inf}

    def sooner() -> bool:
        for _ in range(3):
            for content, status in ((good, 200), (bad, 413)):
                response = service.send("/models/linear/predict", content)
                assert response.status_code == status
                seconds[content] = min(seconds[content], response.elapsed.total_seconds())
        return seconds[bad] < 2 * seconds[good]

    until(sooner)


def test_a_row_for_which_the_network_would_need_gigabytes_is_refused() -> None:
    manifest = tabular().manifest.model_copy(
        update={"inputs": (TOKENS,), "cost": Cost(row="300*length", row_pass="100*length", mask=3)}
    )
    refuse_too_large_rows(manifest, {"tokens": np.zeros((9, 1000), np.int64)})
    with pytest.raises(RequestError, match=r"a length of 1000000 take about 1,526 MiB each"):
        refuse_too_large_rows(manifest, {"tokens": np.zeros((1, 1_000_000), np.int64)})
