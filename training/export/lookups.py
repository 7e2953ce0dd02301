"""Look-ups in a table of dropped weights, as look-ups in the weights and in their mask.

To drop words, a network multiplies its embedding by a mask with one unit for each word, and looks up in the
product. That would take a whole table for each pass. The entries of a product are the products of entries, so
that only those of the mask and the weights are looked up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.fx.traceback import preserve_node_meta

from caveat.training.export.capture import functional
from caveat.training.export.draw_operator import DRAW
from caveat.training.export.fold import is_pointwise

aten = torch.ops.aten


def entries_of_draws(
    graph: fx.GraphModule, inputs: Sequence[Tensor], axes: Sequence[Mapping[int, str]]
) -> fx.GraphModule:
    """Look up in draws and weights one by one.

    Parameters
    ----------
    graph
        The functional graph, whose random operators are ``caveat::draw``.
    inputs, axes
        Example inputs, and the names of their free sizes by axis.
    """
    drawn: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if node.target is DRAW or not drawn.isdisjoint(node.all_input_nodes):
            drawn.add(node)
    if not any(_looks_up(node, drawn) for node in graph.graph.nodes):
        return graph
    return functional(_EntryByEntry(graph, drawn), inputs, axes)


def _looks_up(node: fx.Node, drawn: set[fx.Node]) -> bool:
    return node.target is aten.embedding.default and node.args[0] in drawn


class _EntryByEntry(nn.Module):
    def __init__(self, graph: fx.GraphModule, drawn: set[fx.Node]) -> None:
        super().__init__()
        self.network = graph
        self._drawn = drawn
        for part in self.modules():
            part.training = False

    def forward(self, *inputs: Tensor) -> Any:
        with preserve_node_meta():
            return _Reader(self.network, self._drawn).run(*inputs)


class _Reader(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule, drawn: set[fx.Node]) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self._drawn = drawn

    def run_node(self, n: fx.Node) -> Any:
        if not _looks_up(n, self._drawn):
            return super().run_node(n)
        table, entries = n.args[:2]
        assert isinstance(table, fx.Node)
        assert isinstance(entries, fx.Node)
        with self._set_current_node(n):
            return self._entries(table, self.env[entries])

    def _entries(self, table: fx.Node, entries: Tensor) -> Tensor:
        """Look up in what a table is computed from, back to the draws and the weights."""
        value: Tensor = self.env[table]
        if table in self._drawn and table.target is aten.expand.default:
            inner = self._operand(table.args[0], entries, len(value))
            return inner.expand(*entries.shape, *value.shape[1:])  # type: ignore[no-any-return]
        if table in self._drawn and is_pointwise(table):

            def operand(node: fx.Node) -> Any:
                return self._operand(node, entries, len(value))

            found: Tensor = self.call_function(
                table.target, map_arg(table.args, operand), map_arg(table.kwargs, operand)
            )
            return found
        return F.embedding(entries, value)

    def _operand(self, node: Any, entries: Tensor, size: int) -> Any:
        """Look up in an operand, unless all rows of the table have it in common."""
        value = self.env[node]
        if not isinstance(value, Tensor) or value.ndim < 2:
            return value
        return self._entries(node, entries) if value.shape[0] == size else value.squeeze(0)
