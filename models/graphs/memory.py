"""The memory that a run of a model's graphs takes, computed from the manifest."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from caveat.models.bundles.dimension import evaluate
from caveat.models.bundles.manifest import Manifest

Sizes = Mapping[str, int]
"""The sizes that a request chose, by name."""

_LARGEST_ROW: Final = 2**27
"""Most float32 values (512 MiB) that the network may hold for one row."""

_LEAST: Final = 2**24
"""Values that every model may hold; a run is cut to hold a quarter of these, or all if its model is large."""

_FLOAT: Final = 4

_BYTES: Final = _FLOAT * 8
"""Bytes allowed for each value that the manifest counts.

An allocator may take 16 bytes for the 4 of a value, and the manifest leaves out the working memory of
products.
"""


def values_held(manifest: Manifest, sizes: Sizes) -> tuple[int, int, int]:
    """Count the values held for a row, for a row in a pass, and for a pass, at the sizes of a request.

    They are those of the manifest's cost, and at least those of the inputs, the output and the draws.
    """
    cost = manifest.cost
    stated = (evaluate(size, sizes) for size in (cost.row, cost.row_pass, cost.mask))
    row, row_pass, mask = map(max, stated, _least_held(manifest, sizes))
    return row, row_pass, mask


def check_row(manifest: Manifest, sizes: Sizes) -> None:
    """Refuse sizes at which the network would hold too much for one row.

    Raises
    ------
    ValueError
        With the memory that a row would take.
    """
    held = sum(values_held(manifest, sizes))
    if held > _LARGEST_ROW:
        what = " and ".join(f"a {name} of {size}" for name, size in sizes.items())
        raise ValueError(
            f"rows {f'with {what} ' if what else ''}take about {held * _FLOAT / 2**20:,.0f} MiB each to "
            f"compute; the limit is {_LARGEST_ROW * _FLOAT // 2**20} MiB a row"
        )


def check_cost(manifest: Manifest) -> None:
    """Refuse a cost that is less than what the shapes of a model of fixed sizes alone hold.

    Raises
    ------
    ValueError
        Naming the part of the cost.
    """
    if manifest.free_sizes:
        return
    for (name, stated), least in zip(manifest.cost, _least_held(manifest, {}), strict=True):
        if stated < least and least > 1:
            raise ValueError(f"cost: {name} is {stated:,}; by the shapes it is at least {least:,}")


def _least_held(manifest: Manifest, sizes: Sizes) -> tuple[int, int, int]:
    row = sum(math.prod(evaluate(size, sizes) for size in spec.shape[1:]) for spec in manifest.inputs)
    row_pass = math.prod(evaluate(size, sizes) for size in manifest.output[1:])
    mask = sum(
        -(-math.prod(site.shape_at(sizes)) * np.dtype(site.dtype).itemsize // _FLOAT)
        for site in manifest.sites
    )
    return max(1, row), max(1, row_pass), max(1, mask)


def allowed(manifest: Manifest, sizes: Sizes | None = None) -> int:
    """Give the bytes that a run of one of a model's graphs may take.

    Parameters
    ----------
    sizes
        The sizes that a request chose; None for the largest that it may choose.
    """
    largest = sizes is None and manifest.free_sizes
    held = _LARGEST_ROW if largest else sum(values_held(manifest, sizes or {}))
    return _BYTES * max(_LEAST, held)
