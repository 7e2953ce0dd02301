"""The memory that a run of a graph takes, computed from the sizes of its values."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from caveat.models.bundles.dimension import check, evaluate, names
from caveat.models.bundles.manifest import PASSES, Cost, Site
from caveat.models.bundles.signature import ROWS
from caveat.training.export.arithmetic import plain

_DRAWS = "draws"
"""Values of a pass that have no rows: what becomes of the draws before they meet the rows."""

_COUNTS = re.compile(rf"\b({ROWS}|{PASSES})\b")


def measure(passes: ir.Model, sites: Sequence[Site]) -> Cost:
    """Find the most float32 values that the passes hold at once: for a row, for a row in a pass, for a pass.

    A value is held from the node that computes it to the last node that reads it. If values depend on sizes
    that a request chooses, the peak is found for sizes of 32, and written as arithmetic on the sizes.
    """
    nodes = list(passes.graph)
    known = set().union(*(_free(value) for value in passes.graph.inputs))
    last_use = {value: index for index, node in enumerate(nodes) for value in node.inputs if value}
    last_use |= dict.fromkeys(passes.graph.outputs, len(nodes))
    held: dict[str, dict[ir.Value, str]] = {ROWS: {}, PASSES: {}, _DRAWS: {}}
    peaks: dict[str, tuple[int, list[str]]] = dict.fromkeys(held, (1, ["1"]))
    for value in passes.graph.inputs[: -len(sites)]:
        _hold(value, held, known)
    for index, node in enumerate(nodes):
        for value in node.outputs:
            _hold(value, held, known)
        for kind, values in held.items():
            total = sum(_at_typical_sizes(size) for size in values.values())
            peaks[kind] = max(peaks[kind], (total, list(values.values())), key=lambda peak: peak[0])
            held[kind] = {value: size for value, size in values.items() if last_use.get(value, 0) > index}
    return Cost(
        row=_sum(peaks[ROWS][1]),
        row_pass=_sum(peaks[PASSES][1]),
        mask=_sum([*map(_drawn, sites), *peaks[_DRAWS][1]]),
    )


def _drawn(site: Site) -> str:
    """Count the draws of a site; those that have one byte count as a quarter of a float32 value."""
    units = _product(site.shape[1:])
    each = np.dtype("float32").itemsize // np.dtype(site.dtype).itemsize
    if each == 1:
        return units
    return str(-(-int(units) // each)) if units.isdigit() else f"({units} + {each - 1})//{each}"


def _hold(value: ir.Value, held: dict[str, dict[ir.Value, str]], known: set[str]) -> None:
    if value.shape is None or any(getattr(size, "value", size) is None for size in value.shape):
        return  # the exporter lost a size; such values are few and small
    found = _free(value)
    if not found <= known or found.isdisjoint((ROWS, PASSES)):
        return  # a constant, or chosen by a mask
    size = _product(_sizes(value))
    try:
        check(size, known)
    except ValueError:
        return  # a view in windows is divided by their number; the same values are counted under other sizes
    held[_DRAWS if ROWS not in found else PASSES if PASSES in found else ROWS][value] = size


def _free(value: ir.Value) -> set[str]:
    return set().union(*(names(size) for size in _sizes(value)))


def _sizes(value: ir.Value) -> list[int | str]:
    return [size if isinstance(size, int) else plain(str(size)) for size in value.shape or ()]


def _product(sizes: Sequence[int | str]) -> str:
    """Multiply sizes, for one row and one pass.

    >>> _product(["rows*passes", 4, "length"])
    '4*(length)'
    """
    fixed, free = 1, []
    for size in sizes:
        if names(size) <= {ROWS, PASSES}:
            fixed *= evaluate(size, {ROWS: 1, PASSES: 1})
        else:
            free.append(f"({_COUNTS.sub('1', str(size))})")
    return "*".join([str(fixed), *free])


def _sum(products: Sequence[str]) -> int | str:
    fixed = sum(int(product) for product in products if product.isdigit())
    counts = Counter(product for product in products if not product.isdigit())
    free = [f"{count}*{product}" if count > 1 else product for product, count in counts.items()]
    return " + ".join([str(fixed), *free]) if free else fixed


def _at_typical_sizes(product: str) -> int:
    # The sizes of requests are unknown here; 32 weighs free sizes against fixed ones as most requests would.
    return evaluate(product, dict.fromkeys(names(product), 32))
