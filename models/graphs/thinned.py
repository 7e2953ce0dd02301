"""The graph of passes with the masks of given passes multiplied into its weights, before any request.

If a network draws only before its last product, ``(h * m) @ W`` is ``h @ (m[:, None] * W)``: a pass is a
product with thinned weights (Srivastava et al., "Dropout: a simple way to prevent neural networks from
overfitting", 2014). The thinned weights of all passes, side by side, make one wide product. Without
thinning, every row is copied once for each mask, and the copies are multiplied by weights that are only as
wide as the number of classes.

No bit of an answer changes. The scale of dropout is applied to the rows, as before, so that the weights are
multiplied by 0 and 1 alone; and ONNX Runtime adds the same terms in the same order for every width of a
product, as long as its weights are constants.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.manifest import Site
from caveat.models.graphs.onnx_file import Node, OnnxFile, node

MOST_WEIGHTS: Final = 2**21
"""Most thinned weights, over all passes (8 MiB). With more, the passes of a lone row take longer than with
masks."""

MOST_CLASSES: Final = 12
"""With more classes, the product of one pass is wide enough, and a lone row is faster with masks."""

_LONGEST: Final = 6  # most nodes to follow from masks to output; in a network that can be thinned these are 5

_PLAIN: Final = {"alpha": 1.0, "beta": 1.0, "transA": 0.0, "transB": 0.0}


def thinned_graph(graph: bytes, site: Site, draws: NDArray[np.float32]) -> bytes | None:
    """Multiply the draws of N passes into the weights of a graph of passes.

    Parameters
    ----------
    graph
        An ONNX file that takes rows and the draws of its only site.
    draws
        Draws of N passes for the site, shape (N, 1, units).

    Returns
    -------
    bytes or None
        An ONNX file that takes the rows alone and gives (B, N, C). None if the graph has another form or
        more than `MOST_CLASSES`, or would have more thinned weights than `MOST_WEIGHTS`.
    """
    file = OnnxFile(graph)
    head = _head(file, site.name)
    if site.law != "keep" or head is None:
        return None
    passes, (units, classes) = len(draws), head.weights.shape
    if draws.shape != (passes, 1, units) or classes > MOST_CLASSES or passes * units * classes > MOST_WEIGHTS:
        return None
    if not draws.any(axis=0).all():  # scaling a unit that no pass keeps may overflow, where masks give 0
        return None
    with np.errstate(invalid="ignore"):  # an infinite weight times 0 is NaN, here as in a run with masks
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
    return file.rewritten(nodes, constants, without=site.name)


@dataclass(frozen=True)
class _Head:
    """The end of a graph of passes: rows times masks, a product with weights, and perhaps a softmax."""

    before: Sequence[Node]  # compute the rows
    rows: str
    weights: NDArray[np.float32]  # (units, classes)
    bias: NDArray[np.float32]  # (classes,)
    product: str
    softmax: Sequence[Node]
    answers: str
    output: str


def _head(file: OnnxFile, site: str) -> _Head | None:
    """Find the nodes Reshape, Mul by the site, Reshape, Gemm, perhaps Softmax, and Reshape at the end."""
    path = _path(file, site)
    operators = [each.operator for each in path if each.operator != "Softmax"]
    if operators != ["Mul", "Reshape", "Gemm", "Reshape"] or len(path[2].inputs) != 3:
        return None
    masked, flattened, product, *softmax, last = path
    expanded = file.producer(next((name for name in masked.inputs if name != site), ""))
    *_, weights, bias = map(file.constant, product.inputs)
    if expanded is None or weights is None or bias is None or weights.ndim != 2:
        return None
    weights = weights.T if product.attributes.get("transB") else weights
    units, classes = weights.shape
    rows = expanded.inputs[0]
    needed = file.sources(rows)
    made = {name for name in needed if file.producer(name)}
    before = [each for each in file.nodes if not made.isdisjoint(each.outputs)]
    left_out = [
        each for each in file.nodes if made.isdisjoint(each.outputs) and each not in (expanded, *path)
    ]
    if (
        _sizes(file, expanded) == [1, -1, units]
        and _sizes(file, flattened) == [-1, units]
        and bias.shape == (classes,)
        and {**_PLAIN, **product.attributes, "transB": 0} == _PLAIN
        and all(each.attributes == {"axis": -1} for each in softmax)
        and site not in needed
        # If a node that is left out took one of these values, an engine could fuse other nodes without it.
        and all(made.isdisjoint(each.inputs) for each in left_out)
        and last.outputs == file.outputs
    ):
        return _Head(
            before, rows, weights, bias, product.outputs[0], softmax, last.inputs[0], last.outputs[0]
        )
    return None


def _path(file: OnnxFile, name: str) -> list[Node]:
    """List the nodes that a value passes through, until several nodes consume it, or none; Shape aside."""
    path: list[Node] = []
    for _ in range(_LONGEST):
        consumers = [each for each in file.consumers(name) if each.operator != "Shape"]
        if len(consumers) != 1:
            break
        path += consumers
        name = consumers[0].outputs[0]
    return path


def _sizes(file: OnnxFile, reshape: Node) -> list[int]:
    """Give the shape that a node reshapes to; empty unless the node is a Reshape to a constant shape."""
    sizes = file.constant(reshape.inputs[1]) if reshape.operator == "Reshape" else None
    return [] if sizes is None else sizes.ravel().tolist()
