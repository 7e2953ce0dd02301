"""How much a model's graphs hold as they run, going by what its manifest says of them."""

from functools import lru_cache
from typing import Final

from caveat.models.bundles.dimension import evaluate
from caveat.models.bundles.manifest import Cost, Manifest

LARGEST_ROW: Final = 2**27
"""Float32 values (512 MiB) that the network may hold for one row, where a request chooses its size."""

_LEAST: Final = 2**24
"""Values that any model may hold; a run of many rows and passes is said to hold a quarter of it."""

_BYTES: Final = 4 * 8
"""Bytes for each value that is said to be held.

Of its 4 an allocator can make 16, and the manifest does not count what a product needs aside.
"""


@lru_cache
def values_held(cost: Cost, *chosen: tuple[str, int]) -> tuple[int, int, int]:
    """Count the values that are held for a row, for a row in a pass, and for a pass."""
    each = (cost.row, cost.row_pass, cost.mask)
    row, row_pass, mask = (max(1, evaluate(size, dict(chosen))) for size in each)
    return row, row_pass, mask


def allowed(manifest: Manifest) -> int:
    """Say how many bytes a run of one of a model's graphs may take."""
    held = LARGEST_ROW if manifest.free_sizes else sum(values_held(manifest.cost))
    return _BYTES * max(_LEAST, held)
