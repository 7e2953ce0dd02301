"""A document has one reading, whichever parser reads it: with rows cut out, as a whole, or in pieces."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Input, encode
from caveat.models.errors import InputError
from caveat.service.rest.content import request
from caveat.service.rest.content.request import PredictRequest, uncertainty_request
from caveat.service.rest.problems import RequestError
from caveat.service.settings import Settings
from tests.bundles import tabular

KIND = uncertainty_request(Settings(store=None))
POINTS = Input(name="x", dtype="float32", shape=("rows", 3))
IMAGES = Input(name="image", dtype="float64", shape=("rows", 2, 2))
TOKENS = Input(name="tokens", dtype="int64", shape=("rows", "length"), below=100)
NUMBERS = Input(name="quantiles", dtype="float32", shape=("rows",))
RECORDS = Input(
    name="record",
    dtype="float32",
    shape=("rows", 2),
    features=(Feature(name="age", missing=True), Feature(name="pet", categories=("a:b", "cat"), other=True)),
)
MODELS = [(POINTS,), (TOKENS,), (NUMBERS,), (RECORDS,), (IMAGES, TOKENS), (NUMBERS, RECORDS)]

ROWS = {
    "x": ["[[1, 2, 3], [4, 5, 6]]"],
    "image": ["[[[1, 2], [3, 4]], [[5, 6], [7, 8.5]]]"],
    "tokens": ["[[1, 2, 3], [4, 5, 6]]", "[[7], [8]]"],
    "quantiles": ["[0.5, 2]", "[1, 2]"],
    "record": ['[{"age": 61, "pet": "cat"}, {"age": null, "pet": "a:b"}]', '[{"pet": "x", "age": 1}]'],
}
VALUES = (
    *("NaN", "Infinity", "-Infinity", "nan", "1e400", "1E5", "1e-400", "-0", "-0.0", "01", "+1", ".5", "1."),
    *("1.0", "0x1", "1_0", "18446744073709551615", "18446744073709551616", "9223372036854775808"),
    *("-9223372036854775809", "9007199791611905", "1152921573326323713", "3.4028236e38", "1e39", "true"),
    *("null", '"1"', "[]", "{}", "[1]", '{"a": 1, "a": 2}', '"\\ud800"', '"\\u0000"', '"\xff"', "'a'"),
    *("1 2", "", "1,", ",", "/**/1", "5 // x\n", "0" * 400),
)
PIECES = (
    *(" ", "\n", "\t", "\r", "\x0b", "\x0c", "\xa0", "\0", "\ufeff", "[", "]", "{", "}", ",", ":", '"', "\\"),
    *(
        '"inputs": [],',
        '"inputs": [[1, 2, 3]],',
        '"seed": 1,',
        '"samples": 7,',
        '"x": [[9, 9, 9]],',
        '"age": 5,',
    ),
    *(
        '"quantiles": [0.1],',
        '"\\u0069nputs": [],',
        '"tokens": [],',
        '"a": [{"inputs": []}],',
        ', "pet": "cat"',
    ),
)


def document(pick: Callable[..., Any], chance: random.Random, inputs: tuple[Input, ...]) -> bytes:
    rows = {spec.name: pick(ROWS[spec.name]) for spec in inputs}
    named = ", ".join(f'"{name}": {text}' for name, text in rows.items())
    whole = f"{{{named}}}" if len(inputs) > 1 or chance.random() < 0.2 else next(iter(rows.values()))
    options = pick(
        ("", '"samples": 7, ', '"seed": 3, "quantiles": [0.5], ', '"sampler": "\\"inputs\\": [", ')
    )
    text = f'{{{options}"inputs": {whole}{pick(("", ", " + chr(34) + "seed" + chr(34) + ": 5"))}}}'
    for _ in range(pick((0, 1, 1, 1, 2, 3))):
        if chance.random() < 0.5:
            digits = [place for place, mark in enumerate(text) if mark.isdigit()]
            place = pick(digits or [0])
            text = text[:place] + pick(VALUES) + text[place + 1 :]
        else:
            place = chance.randrange(len(text) + 1)
            text = text[:place] + pick(PIECES) + text[place + pick((0, 0, 1)) :]
    return text.encode(pick(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1")), errors="replace")


def outcome(read: Callable[[], tuple[PredictRequest, Any]]) -> Any:
    """Give what was read, to the last bit; None if it was refused."""
    try:
        body, arrays = read()
    except (RequestError, InputError):
        return None
    options = body.model_dump(exclude={"inputs"})
    return options, {name: (array.shape, array.dtype, array.tobytes()) for name, array in arrays.items()}


@pytest.mark.parametrize("inputs", MODELS, ids=lambda inputs: " and ".join(spec.name for spec in inputs))
def test_random_documents_are_read_alike(inputs: tuple[Input, ...]) -> None:
    chance = random.Random(1)
    manifest = Manifest.model_construct(**dict(tabular().manifest) | {"inputs": inputs})
    answered = cut = 0
    for _ in range(4000):
        raw = document(chance.choice, chance, inputs)
        whole = outcome(lambda raw=raw: request._whole(raw, b"", KIND, manifest, 100))  # type: ignore[misc]
        pieces = outcome(
            lambda raw=raw: request._in_pieces(raw, b"", KIND, manifest, 100, lambda: None)  # type: ignore[misc]
        )
        assert pieces == whole, raw
        apart = request._apart(raw, b"", KIND, manifest)
        if apart is not None:
            cut += 1
            rows = apart[1]
            assert outcome(lambda apart=apart, rows=rows: (apart[0], encode(inputs, rows))) == whole, raw  # type: ignore[misc]
        answered += whole is not None
    assert answered > 200
    assert cut > 200 or any(spec.features is not None for spec in inputs)
