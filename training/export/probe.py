"""How the entries of several rows lie along one axis, found by trying.

Where an axis holds k entries for each row, its size is k x rows whether row 0's entries come first or the
rows take turns. Running the graph twice, with one row changed, tells.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from caveat.training.export.recurrent import Lowering
from caveat.training.export.rows import Rows


def find_interleaved(graph: fx.GraphModule, rows: Rows, inputs: Sequence[Tensor]) -> None:
    """Note in ``rows`` every value along whose row axis the rows take turns.

    Parameters
    ----------
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
        # Row 1's entries lie together if all that changed lies in the second half. What holds no rows'
        # values, such as a draw, lies as what it is used with.
        takes_turns = bool(differs[: len(differs) // 2].any())
        if takes_turns or (not differs.any() and any(user in rows.interleaved for user in node.users)):
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
            value.zero_()  # else what lies in memory would look like rows that differ
        if n in self._wanted:
            self.kept[n] = value
        return value


def _is_uninitialised(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and "empty" in node.target._schema.name
