"""The memory that a run of a model's graphs takes, computed from the manifest."""

from functools import lru_cache
from typing import Final

from caveat.models.bundles.dimension import evaluate
from caveat.models.bundles.manifest import Cost, Manifest

LARGEST_ROW: Final = 2**27
"""Most float32 values (512 MiB) that the network may hold for one row whose size a request chooses."""

_LEAST: Final = 2**24
"""Values that every model may hold; a run is cut to hold a quarter of these, or all if its model is large."""

_BYTES: Final = 4 * 8
"""Bytes allowed for each value that the manifest counts.

An allocator may take 16 bytes for the 4 of a value, and the manifest leaves out the working memory of
products.
"""


@lru_cache
def values_held(cost: Cost, *chosen: tuple[str, int]) -> tuple[int, int, int]:
    """Count the values held for a row, for a row in a pass, and for a pass, at the sizes ``chosen``."""
    each = (cost.row, cost.row_pass, cost.mask)
    row, row_pass, mask = (max(1, evaluate(size, dict(chosen))) for size in each)
    return row, row_pass, mask


def allowed(manifest: Manifest) -> int:
    """Give the bytes that a run of one of a model's graphs may take."""
    held = LARGEST_ROW if manifest.free_sizes else sum(values_held(manifest.cost))
    return _BYTES * max(_LEAST, held)
