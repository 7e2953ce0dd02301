"""The graph of passes with the masks of some passes multiplied into its weights, ahead of all requests.

Where a network draws before its last product alone, ``(h * m) @ W`` is ``h @ (m[:, None] * W)``: a pass is a
product with thinned weights (Srivastava et al., "Dropout: a simple way to prevent neural networks from
overfitting", 2014). Those of all passes side by side make one wide product. Otherwise every row is written
out once for each mask, to be multiplied by weights that are only as wide as the network has classes.

No bit of an answer changes. What dropout scales is scaled in the rows, as before, so that the weights are
multiplied by 0 and 1 alone; and ONNX Runtime sums up the same terms in the same order however wide a product
is, as long as its weights are constants.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Site
from caveat.models.graphs.onnx_file import Node, OnnxFile, node

LARGEST: Final = 2**21
"""Thinned weights of all passes (8 MiB). With more, the passes of a lone row take longer than without."""

MOST_CLASSES: Final = 12
"""With more, a product of one pass is wide enough, and a lone row's passes are faster by themselves."""

_LONGEST: Final = 6  # nodes between masks and output; those of a network that is thinned are 5

_PLAIN: Final = {"alpha": 1.0, "beta": 1.0, "transA": 0.0, "transB": 0.0}


def thinned(graph: bytes, site: Site, draws: NDArray[np.float32]) -> bytes | None:
    """Multiply the draws of N passes into the weights of a graph of passes.

    Parameters
    ----------
    graph
        An ONNX file that takes rows and the draws of its only site.
    draws
        Shape (N, ...), as the site has it.

    Returns
    -------
    bytes or None
        An ONNX file that takes the rows alone and gives (B, N, C); nothing where the graph is another one,
        has more than `MOST_CLASSES`, or would have more thinned weights than `LARGEST`.
    """
    file = OnnxFile(graph)
    head = _head(file, site.name)
    if site.law != "keep" or head is None:
        return None
    passes, (units, classes) = len(draws), head.weights.shape
    if draws.shape != (passes, 1, units) or classes > MOST_CLASSES or passes * units * classes > LARGEST:
        return None
    if not draws.any(axis=0).all():  # a unit that is never kept would be scaled, and may overflow
        return None
    side_by_side = (draws.transpose(2, 0, 1) > 0) * head.weights[:, None]  # (units, passes, classes)
    constants: dict[str, NDArray[Any]] = {
        "thinned/by_row": np.array([-1, units], np.int64),
        "thinned/scale": np.array(draws.max(), np.float32),
        "thinned/weights": side_by_side.reshape(units, -1).astype(np.float32),
        "thinned/bias": np.tile(head.bias, passes),
        "thinned/by_pass": np.array([-1, passes, classes], np.int64),
    }
    nodes = [
        *head.before,
        node("Reshape", [head.rows, "thinned/by_row"], "thinned/rows"),
        node("Mul", ["thinned/rows", "thinned/scale"], "thinned/scaled"),
        node("Gemm", ["thinned/scaled", "thinned/weights", "thinned/bias"], "thinned/product"),
        node("Reshape", ["thinned/product", "thinned/by_pass"], head.product),
        *head.softmax,
        node("Identity", [head.answers], head.output),
    ]
    return file.written(nodes, constants, without=site.name)


@dataclass(frozen=True)
class _Head:
    """The end of a graph of passes: its rows by its masks, a product of them, and perhaps a softmax."""

    before: Sequence[Node]  # what the rows come of
    rows: str
    weights: NDArray[np.float32]  # (units, classes)
    bias: NDArray[np.float32]  # (classes,)
    product: str
    softmax: Sequence[Node]
    answers: str
    output: str


def _head(file: OnnxFile, site: str) -> _Head | None:
    """Find rows, Reshape, Mul by the site, Reshape, Gemm, perhaps Softmax, and Reshape at the end."""
    path = _path(file, site)
    operators = [each.operator for each in path if each.operator != "Softmax"]
    if operators != ["Mul", "Reshape", "Gemm", "Reshape"] or len(path[2].takes) != 3:
        return None
    masked, together, product, *softmax, last = path
    apart = file.maker(next((name for name in masked.takes if name != site), ""))
    *_, weights, bias = map(file.constant, product.takes)
    if apart is None or weights is None or bias is None or weights.ndim != 2:
        return None
    weights = weights.T if product.attributes.get("transB") else weights
    units, classes = weights.shape
    rows = apart.takes[0]
    needed = file.needed(rows)
    made = {name for name in needed if file.maker(name)}
    before = [each for each in file.nodes if not made.isdisjoint(each.gives)]
    left_out = [each for each in file.nodes if made.isdisjoint(each.gives) and each not in (apart, *path)]
    if (
        _sizes(file, apart) == [1, -1, units]
        and _sizes(file, together) == [-1, units]
        and bias.shape == (classes,)
        and {**_PLAIN, **product.attributes, "transB": 0} == _PLAIN
        and all(each.attributes == {"axis": -1} for each in softmax)
        and site not in needed
        # Without a node that takes what these give, an engine might run together what it ran apart.
        and all(made.isdisjoint(each.takes) for each in left_out)
        and last.gives == file.outputs
    ):
        return _Head(before, rows, weights, bias, product.gives[0], softmax, last.takes[0], last.gives[0])
    return None


def _path(file: OnnxFile, name: str) -> list[Node]:
    """Follow a value to where several nodes take what has become of it, or none; its size may be taken."""
    path: list[Node] = []
    for _ in range(_LONGEST):
        takers = [each for each in file.takers(name) if each.operator != "Shape"]
        if len(takers) != 1:
            break
        path += takers
        name = takers[0].gives[0]
    return path


def _sizes(file: OnnxFile, reshape: Node) -> list[int]:
    """Give what a node reshapes to; nothing if it does not, or not to constants."""
    sizes = file.constant(reshape.takes[1]) if reshape.operator == "Reshape" else None
    return [] if sizes is None else sizes.ravel().tolist()
