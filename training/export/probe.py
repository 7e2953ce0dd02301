"""The order of the rows' entries along a shared axis, found by running the graph.

An axis that holds k entries for each row has the size k x rows, both if the k entries of row 0 come first
and if the entries of the rows alternate. Running the graph twice, with one row changed, shows the order.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from caveat.training.export.recurrent import Lowering
from caveat.training.export.rows import Rows


def find_interleaved(graph: fx.GraphModule, rows: Rows, inputs: Sequence[Tensor]) -> None:
    """Add to ``rows.interleaved`` every node along whose row axis the entries of the rows alternate.

    Parameters
    ----------
    graph
        The functional graph.
    rows
        The row axes of the graph's values.
    inputs
        Example inputs of at least two different rows.
    """
    shared = [node for node in graph.graph.nodes if (axis := rows.axis(node)) is not None and axis.shared]
    if not shared:
        return
    changed = [torch.cat([tensor[:1], tensor[:1]]) for tensor in inputs]
    before, after = (_values(graph, shared, tensors) for tensors in ([t[:2] for t in inputs], changed))
    for node in reversed(shared):
        axis = rows.axis(node)
        assert axis is not None
        differs = (before[node] != after[node]).movedim(axis.position, 0).flatten(1).any(dim=1)
        # The entries of row 1 are contiguous if all changes are in the second half. A value that does not
        # depend on the inputs, such as a draw, has the order of the values that use it.
        alternates = bool(differs[: len(differs) // 2].any())
        if alternates or (not differs.any() and any(user in rows.interleaved for user in node.users)):
            rows.interleaved.add(node)


def _values(
    graph: fx.GraphModule, wanted: Sequence[fx.Node], inputs: Sequence[Tensor]
) -> dict[fx.Node, Tensor]:
    run = _Keeping(graph, wanted)
    with torch.no_grad():
        run.run(*inputs)
    return run.kept


class _Keeping(Lowering):
    def __init__(self, graph: fx.GraphModule, wanted: Sequence[fx.Node]) -> None:
        super().__init__(graph)
        self._wanted = set(wanted)
        self.kept: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if _is_uninitialised(n):
            value.zero_()  # the content of fresh memory would look like a difference between rows
        if n in self._wanted:
            self.kept[n] = value
        return value


def _is_uninitialised(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and "empty" in node.target._schema.name
