"""Example rows of a model: for its first run as it is loaded, its warm-up and its documentation."""

import io
import math
import zipfile
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.days import day_named
from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Input, Inputs, encode

MAX_VALUES: Final = 1000
"""Most values of a row that is written as text."""

LARGEST: Final = 2**24
"""Most values of a row that is kept at all."""

_HEADER: Final = 2**16  # most bytes in front of the numbers of an array
_ROWS: Final = 2

Rows = list[Any] | dict[str, Any] | NDArray[Any]
"""The ``inputs`` of a request, as a client writes them or as arrays."""


def example_rows(manifest: Manifest, kept: Rows | None = None) -> Rows:
    """Give valid rows: the model's own example or, without one, zeros, first categories and the first day.

    Parameters
    ----------
    manifest
        The model's manifest, which holds the example if its rows are short.
    kept
        The example of the bundle's `EXAMPLE`, if there is one.
    """
    if manifest.example:
        return manifest.example
    return _zeros(manifest.inputs) if kept is None else kept


def shown_rows(manifest: Manifest) -> list[Any] | dict[str, Any] | None:
    """Give valid rows to show to people; None if a row is too long to be read."""
    if manifest.example:
        return manifest.example
    return _zeros(manifest.inputs) if all(_values(spec) <= MAX_VALUES for spec in manifest.inputs) else None


def subject(manifest: Manifest, kept: Rows | None) -> str:
    """Name the rows of `example_rows` in a message."""
    if manifest.example or kept is not None:
        return "the bundle's example"
    return "rows of zeros, since the bundle has no example"


def read(inputs: Sequence[Input], content: bytes) -> Rows:
    """Read the arrays of a bundle's `EXAMPLE`, one for each input in their order.

    Raises
    ------
    InputError, KeyError, ValueError
        If an array is missing, too large, or not valid rows.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        arrays = {spec.name: _read(archive, f"arr_{number}.npy") for number, spec in enumerate(inputs)}
    rows: Rows = arrays if len(inputs) > 1 else arrays[inputs[0].name]
    encode(inputs, rows)
    return rows


def write(inputs: Sequence[Input], rows: Inputs) -> bytes:
    """Write a bundle's `EXAMPLE`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, *(rows[spec.name] for spec in inputs), allow_pickle=False)
    return buffer.getvalue()


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    size = archive.getinfo(name).file_size
    if size > (most := _HEADER + 8 * _ROWS * LARGEST):
        raise ValueError(f"{name} takes {size:,} bytes; at most {most:,} are allowed")
    with archive.open(name) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _values(spec: Input) -> int:
    return math.prod(size if isinstance(size, int) else _least(spec, size) for size in spec.shape[1:])


def _least(spec: Input, size: str) -> int:
    return spec.sizes.get(size, (1, None))[0]


def _zeros(inputs: Sequence[Input]) -> list[Any] | dict[str, Any]:
    if len(inputs) > 1:
        return {spec.name: _zeros([spec]) for spec in inputs}
    spec = inputs[0]
    if spec.features is not None:
        return [{feature.name: _zero(feature) for feature in spec.features}]
    row: Any = 0
    for size in reversed(spec.shape[1:]):
        row = [row] * (size if isinstance(size, int) else _least(spec, size))
    return [row]


def _zero(feature: Feature) -> int | str:
    if feature.dates is not None:
        return day_named(0.0)
    return feature.categories[0] if feature.categories else 0
