"""Limits on how much a body holds, checked before it is parsed: only parsed values cost memory."""

import math
from collections.abc import Sequence

import numpy as np

from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Dimension, Input, Inputs, sizes
from caveat.models.graphs.memory import LARGEST_ROW, values_held
from caveat.service.rest.problems import RequestError

SMALL = 2**20
"""Bytes up to which a body is parsed unchecked: at worst it takes a few tens of megabytes."""

_QUOTE = ord('"')

_ENVELOPE = 8  # marks outside the rows: of the request's other fields, and the names of several inputs


def refuse_more_than(raw: bytes | bytearray, inputs: Sequence[Input], max_rows: int) -> None:
    """Refuse a body with more lists, objects or values than ``max_rows`` rows of a model can have.

    Brackets and commas are counted in the bytes, because parsing costs the memory that this saves: an empty
    list takes 3 bytes of JSON and 64 of memory. Where a request chooses the size of a row, only the limit
    on bytes applies.

    Raises
    ------
    RequestError
        413, with the limit.
    """
    if len(raw) <= SMALL:
        return
    most_openings = sum(_openings(spec) * max_rows + _ENVELOPE for spec in inputs)
    most_commas = sum(_commas(spec) * max_rows + _ENVELOPE for spec in inputs)
    openings, commas = raw.count(b"[") + raw.count(b"{"), raw.count(b",")
    too_many = openings > most_openings or commas > most_commas
    if too_many and any(feature.other for spec in inputs for feature in spec.features or ()):
        openings, commas = _outside_texts(raw)  # an unknown category may be any text
        too_many = openings > most_openings or commas > most_commas
    if too_many:
        raise RequestError(
            413,
            f"the body holds more values than {max_rows} rows of this model have; one request may hold "
            f"{max_rows} rows, so send several requests",
        )


def _outside_texts(raw: bytes | bytearray) -> tuple[int, int]:
    r"""Count the opening brackets and braces, and the commas, that stand in no text.

    >>> _outside_texts(rb'[{"a, [": "\\", "b": "\", ["}]')
    (2, 1)
    """
    plain = bytes(raw).replace(rb"\\", b"").replace(rb"\"", b"")
    openings, commas, inside = 0, 0, False
    for start in range(0, len(plain), SMALL):
        piece = np.frombuffer(plain[start : start + SMALL], np.uint8)
        within = np.logical_xor.accumulate(piece == _QUOTE) ^ inside
        outside = piece[~within].tobytes()
        openings += outside.count(b"[") + outside.count(b"{")
        commas += outside.count(b",")
        inside = bool(within[-1])
    return openings, commas


def refuse_too_large_rows(manifest: Manifest, inputs: Inputs) -> None:
    """Refuse rows for which the network would need more memory than `LARGEST_ROW` values.

    Raises
    ------
    RequestError
        413, with the memory that a row would take.
    """
    chosen = sizes(manifest.inputs, inputs)
    if not chosen:
        return
    held = sum(values_held(manifest, chosen))
    if held > LARGEST_ROW:
        what = " and ".join(f"a {name} of {size}" for name, size in chosen.items())
        raise RequestError(
            413,
            f"rows with {what} take about {held * 4 / 2**20:,.0f} MiB each to compute; the limit is "
            f"{LARGEST_ROW * 4 // 2**20} MiB a row",
        )


def _openings(spec: Input) -> float:
    """Count the most opening brackets and braces that a row can have."""
    return _lists(spec.shape[1:]) if spec.features is None else 1 + _marks("[{", spec.features)


def _commas(spec: Input) -> float:
    """Count the most commas that a row can have, including the one behind it."""
    if spec.features is not None:
        return len(spec.features) + _marks(",", spec.features)
    return math.prod(math.inf if isinstance(size, str) else size for size in spec.shape[1:])


def _lists(sizes: Sequence[Dimension]) -> float:
    """Count the nested lists of a row's shape; infinite if the request chooses how many there are.

    >>> _lists((8, 8)), _lists(("length",)), _lists(("length", 2))
    (9, 1, inf)
    """
    if not sizes:
        return 0
    inner = _lists(sizes[1:])
    if not inner:
        return 1
    return math.inf if isinstance(sizes[0], str) else 1 + sizes[0] * inner


def _marks(marks: str, features: Sequence[Feature]) -> int:
    """Count the most marks that a row's texts, the names of features and their categories, can hold."""

    def marks_in(text: str) -> int:
        return sum(map(text.count, marks))

    return sum(
        marks_in(feature.name) + max(map(marks_in, feature.categories or (feature.dates or "",)))
        for feature in features
    )
