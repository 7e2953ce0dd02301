"""How much JSON a body holds, told from its bytes: values cost memory only once they are parsed."""

import math
from collections.abc import Sequence

from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Dimension, Feature, Input, Inputs, sizes
from caveat.models.graphs.memory import LARGEST_ROW, values_held
from caveat.service.errors import RequestError

SMALL = 2**20
"""Bytes of a body that may hold anything: parsed, it takes a few tens of megabytes at worst."""

_ENVELOPE = 8  # marks around the rows: a request's own fields, and the names of several inputs


def refuse_more_than(raw: bytes | bytearray, inputs: Sequence[Input], max_rows: int) -> None:
    """Refuse a body with more lists, objects or values than ``max_rows`` rows of a model can have.

    An empty list takes 3 bytes of JSON and 64 of memory, so a body must not be parsed to be counted.
    Where a request chooses the size of a row, values have no limit but that of the bytes.

    Raises
    ------
    RequestError
        413, saying the limit.
    """
    if len(raw) <= SMALL:
        return
    openings = raw.count(b"[") + raw.count(b"{")
    commas = raw.count(b",")
    most_openings = sum(_openings(spec) * max_rows + _ENVELOPE for spec in inputs)
    most_commas = sum(_commas(spec) * max_rows + _ENVELOPE for spec in inputs)
    if openings > most_openings or commas > most_commas:
        raise RequestError(
            413,
            f"the body holds more values than {max_rows} rows of this model have; one request may hold "
            f"{max_rows} rows, so send them in several",
        )


def refuse_too_large_rows(manifest: Manifest, inputs: Inputs) -> None:
    """Refuse rows of a size for which the network would need memory out of all proportion.

    Raises
    ------
    RequestError
        413, saying how much.
    """
    chosen = sizes(manifest.inputs, inputs)
    if not chosen:
        return
    held = sum(values_held(manifest.cost, *chosen.items()))
    if held > LARGEST_ROW:
        what = " and ".join(f"a {name} of {size}" for name, size in chosen.items())
        raise RequestError(
            413,
            f"rows with {what} take about {held * 4 / 2**20:,.0f} MiB each to compute; the service gives a "
            f"row {LARGEST_ROW * 4 // 2**20}",
        )


def _openings(spec: Input) -> float:
    """Count the opening brackets and braces that a row has at most."""
    return _lists(spec.shape[1:]) if spec.features is None else 1 + _marks("[{", spec.features)


def _commas(spec: Input) -> float:
    """Count the commas that a row has at most, with the one behind it."""
    if spec.features is not None:
        return len(spec.features) + _marks(",", spec.features)
    return math.prod(math.inf if isinstance(size, str) else size for size in spec.shape[1:])


def _lists(sizes: Sequence[Dimension]) -> float:
    """Count the lists that nest in the shape of a row.

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
    """Count the marks in the texts of a row: its names, and the categories that have most of them."""

    def marks_in(text: str) -> int:
        return sum(map(text.count, marks))

    return sum(
        marks_in(feature.name) + max(map(marks_in, feature.categories or ("",))) for feature in features
    )
