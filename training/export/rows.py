"""The row axis of each value in a captured graph."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import fx
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from caveat.training.errors import ExportError


@dataclass(frozen=True)
class RowAxis:
    """The axis of a value that holds its rows.

    Parameters
    ----------
    position
        Number of the axis.
    shared
        Whether the axis holds ``k`` entries for each row, such as heads or windows folded into it.
    outer
        Whether the entries of a row are contiguous (row 0's k entries, then row 1's) or interleaved.
    """

    position: int
    shared: bool = False
    outer: bool = True


class Rows:
    """Finds the row axis of the values of a graph whose inputs start with a free number of rows."""

    def __init__(self, graph: fx.GraphModule) -> None:
        inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
        # Each input has its own symbol for the number of rows; the tracer uses them interchangeably.
        self.symbols = {_expression(node.meta["val"].shape[0]) for node in inputs}
        self._counting = set(self.symbols)
        for node in graph.graph.nodes:
            self._counting |= self._selected(node)
        self._positions: dict[fx.Node, tuple[int, bool] | None] = {}
        self.interleaved: set[fx.Node] = set()
        """Nodes along whose row axis the rows' entries alternate; see `caveat.training.export.probe`."""

    def counts(self, size: Any) -> bool:
        """Tell whether a size grows with the number of rows."""
        if not isinstance(size, torch.SymInt):
            return False
        expression = _expression(size)
        counting = self._counting & expression.free_symbols
        # For x[mask], the entries per row are all entries divided by the rows, which does not grow.
        return (
            bool(counting) and expression.xreplace({symbol: 2 * symbol for symbol in counting}) != expression
        )

    def _selected(self, node: fx.Node) -> set[Any]:
        """Find the symbols that count the entries which an operator such as ``x[mask]`` selects from rows."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or not any(map(self._has_rows, node.all_input_nodes)):
            return set()
        return set().union(*(free_unbacked_symbols(size) for size in value.shape))

    def _has_rows(self, node: fx.Node) -> bool:
        value = node.meta.get("val")
        return isinstance(value, torch.Tensor) and any(self.counts(size) for size in value.shape)

    def axis(self, node: fx.Node) -> RowAxis | None:
        """Find the row axis of a node's value; None if its shape does not depend on the number of rows.

        Raises
        ------
        ExportError
            If the value has several row axes, or none though it is computed from rows: then the network
            mixes rows.
        """
        if node not in self._positions:
            self._positions[node] = self._position(node)
        position = self._positions[node]
        return None if position is None else RowAxis(*position, outer=node not in self.interleaved)

    def _position(self, node: fx.Node) -> tuple[int, bool] | None:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            return None
        positions = [axis for axis, size in enumerate(value.shape) if self.counts(size)]
        if len(positions) > 1:
            raise _mixing(node)
        if not positions:
            if any(self._has_rows(parent) for parent in node.all_input_nodes) and not _makes_new(node):
                raise _mixing(node)
            return None
        return positions[0], _expression(value.shape[positions[0]]) not in self.symbols


def _makes_new(node: fx.Node) -> bool:
    """Tell whether an operator makes a new tensor, and takes only the type of its argument."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.name.startswith(
        "aten::new_"
    )


def _mixing(node: fx.Node) -> ExportError:
    return ExportError(
        f"the network mixes the rows of a request {place(node)}: "
        "a row's answer would depend on its neighbours. Compute each row on its own"
    )


def place(node: fx.Node) -> str:
    """Name the line of the user's source that a node comes from."""
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines() if line.strip()]
    own = [
        (where, code)
        for where, code in pairwise(lines)
        if where.startswith("File ") and "/torch/" not in where
    ]
    if not own:
        return f"at {node.name}"
    where, code = own[-1]
    return f"in {where.removeprefix('File ')}: {code}"


def _expression(size: Any) -> Any:
    return size.node.expr
