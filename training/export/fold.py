"""The captured graph run for N passes at once, with the passes folded into the rows.

What a value depends on decides how it is held:

- *fixed*: on no draw. It is computed once, for B rows, however many passes there are.
- *loose*: on draws alone. It is held with a leading pass axis and, where rows would be, an axis of 1.
- *folded*: on draws and rows. Its row axis holds N x B rows, pass by pass, so that every operator that
  can run a batch can run all passes, with no rule of its own.

A fixed value meets a loose or folded one by broadcasting where the operator is pointwise; elsewhere it
is repeated as it is, never computed again.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from caveat.training.export.draw_operator import DRAW
from caveat.training.export.errors import ExportError
from caveat.training.export.recurrent import Lowering
from caveat.training.export.rows import RowAxis, Rows, place

aten = torch.ops.aten

State = Enum("State", "FIXED LOOSE FOLDED")

_POINTWISE_TOO = {
    aten.copy.default,
    aten.clone.default,
    aten._to_copy.default,
    aten.to.dtype,
    aten.where.self,
}
_PRODUCTS = {aten.linear.default, aten.matmul.default, aten.mm.default}
_ROW_NUMBERS = {aten.arange.default, aten.arange.start, aten.arange.start_step}


class Fold(Lowering):
    """Runs a graph whose randomness stands as ``caveat::draw`` for all passes of the given draws.

    Parameters
    ----------
    graph
        A functional graph: no operator writes into its arguments.
    rows
        Where the graph's values hold their rows.
    draws
        For each site, its draws, shape (N, ...) with 1 where the rows lie.
    """

    def __init__(self, graph: fx.GraphModule, rows: Rows, draws: Sequence[Tensor], row_count: int) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self._rows = rows
        self._draws = draws
        self._passes = draws[0].shape[0]
        self._row_count = row_count
        self._states: dict[fx.Node, State] = {}
        self._row_numbers: dict[fx.Node, bool] = {}
        self._many: dict[fx.Node, Any] = {}  # the values of fixed nodes for N x B rows

    def run_node(self, n: fx.Node) -> Any:
        """Run one node in the state that its inputs give it."""
        if n.op == "output":
            return map_arg(n.args[0], self._unfolded)
        if n.op != "call_function":
            return super().run_node(n)
        if n.target is DRAW:
            self._states[n] = State.LOOSE
            return self._draws[n.args[1]]  # type: ignore[index]
        if n.target is aten._assert_tensor_metadata.default:
            return None
        if not isinstance(n.meta.get("val"), Tensor | tuple | list):
            return self._run_size(n)
        states = {self._state(parent) for parent in n.all_input_nodes}
        if states <= {State.FIXED}:
            return super().run_node(n)
        if State.LOOSE in states and not _is_pointwise(n):
            return self._run_with_loose(n)
        if State.LOOSE in states or (_is_pointwise(n) and self._meets_fixed_rows(n)):
            return self._broadcast(n)
        self._states[n] = State.FOLDED
        return self._call(n, self._folded)

    def _state(self, node: fx.Node) -> State:
        return self._states.get(node, State.FIXED)

    def _meets_fixed_rows(self, node: fx.Node) -> bool:
        return any(
            self._state(parent) is State.FIXED and self._rows.axis(parent) is not None
            for parent in node.all_input_nodes
        )

    def _call(self, node: fx.Node, fetch: Any) -> Any:
        return self.call_function(node.target, map_arg(node.args, fetch), map_arg(node.kwargs, fetch))

    def _run_size(self, node: fx.Node) -> Any:
        """Compute a size twice: for B rows, and for N x B."""
        if node.target is not aten.sym_size.int:
            if any(self._state(parent) is not State.FIXED for parent in node.all_input_nodes):
                raise ExportError(
                    f"a size depends on a draw {place(node)}; it has to be the same in every pass"
                )
            self._many[node] = self._call(node, self._folded)
            return self._call(node, self.env.__getitem__)
        source, axis = node.args
        assert isinstance(source, fx.Node)
        assert isinstance(axis, int)
        of_rows = self._rows.counts(source.meta["val"].shape[axis])
        if self._state(source) is State.LOOSE:
            size = self.env[source].shape[1:][axis] * (self._row_count if of_rows else 1)
        else:
            size = self.env[source].shape[axis]
            if of_rows and self._state(source) is State.FOLDED:
                size = size // self._passes
        self._many[node] = size * self._passes if of_rows else size
        return size

    def _folded(self, node: fx.Node) -> Any:
        """Give a node's value for N x B rows."""
        if self._state(node) is State.FOLDED:
            return self.env[node]
        if self._state(node) is State.LOOSE:
            return self._with_rows(node)
        if node not in self._many:
            self._many[node] = self._repeat(node)
        return self._many[node]

    def _repeat(self, node: fx.Node) -> Any:
        value = node.meta.get("val")
        if isinstance(value, tuple | list):
            return type(value)(self.env[node])
        if self._numbers_rows(node):
            return self._call(node, self._folded)
        axis = self._rows.axis(node) if isinstance(value, Tensor) else None
        if axis is None:
            return self.env[node]
        apart = self._apart(self.env[node], axis, State.FIXED)
        return self._together(apart.expand(*self._expanded(apart, axis)), axis)

    def _numbers_rows(self, node: fx.Node) -> bool:
        """Tell whether a fixed value is made of row numbers, which repeating would get wrong."""
        if node not in self._row_numbers:
            self._row_numbers[node] = node.op == "call_function" and (
                (node.target in _ROW_NUMBERS and self._rows.axis(node) is not None)
                or any(
                    self._state(parent) is State.FIXED and self._numbers_rows(parent)
                    for parent in node.all_input_nodes
                )
            )
        return self._row_numbers[node]

    # The pass axis and the row axis of a value side by side: (..., N or 1, B or 1, [k], ...).

    @staticmethod
    def _before(axis: RowAxis) -> int:
        """Count the axes that stand between ``axis.position`` and the pass axis once they lie apart."""
        return 1 if axis.shared and not axis.outer else 0

    def _apart(self, value: Tensor, axis: RowAxis, state: State) -> Tensor:
        before, size, after = (
            value.shape[: axis.position],
            value.shape[axis.position],
            value.shape[axis.position + 1 :],
        )
        passes = self._passes if state is State.FOLDED else 1
        per_row = size // (passes * self._row_count)
        middle = [passes, self._row_count]
        if axis.shared:
            middle = [*middle, per_row] if axis.outer else [per_row, *middle]
        return value.reshape(*before, *middle, *after)

    def _together(self, value: Tensor, axis: RowAxis) -> Tensor:
        last = axis.position + (2 if axis.shared else 1)
        return value.flatten(axis.position, last)

    def _expanded(self, value: Tensor, axis: RowAxis) -> list[Any]:
        sizes = list(value.shape)
        first = axis.position + self._before(axis)
        sizes[first : first + 2] = [self._passes, self._row_count]
        return sizes

    def _loose_apart(self, value: Tensor, axis: RowAxis, rank: int, rowful: bool) -> Tensor:
        """Line a loose value up with folded ones: its pass axis beside the row axis."""
        missing = rank - (value.ndim - 1)
        value = value.reshape(value.shape[0], *[1] * missing, *value.shape[1:])
        position = axis.position
        if rowful and axis.shared:  # the draw holds k entries where the rows lie
            value = value.unsqueeze(1 + position + (0 if axis.outer else 1))
        elif axis.shared:
            value = value.unsqueeze(1 + position)
        return value.movedim(0, position + self._before(axis))

    def _with_rows(self, node: fx.Node) -> Tensor:
        """Spread a loose value over the rows; one that has no rows can't be."""
        axis = self._rows.axis(node)
        value: Tensor = self.env[node]
        if axis is None:
            raise _rowless(node)
        apart = self._loose_apart(value, axis, value.ndim - 1, rowful=True)
        return self._together(apart.expand(*self._expanded(apart, axis)), axis)

    def _broadcast(self, node: fx.Node) -> Any:
        """Run a pointwise operator on values in several states."""
        axis = self._rows.axis(node)
        rank = node.meta["val"].ndim
        has_rows = any(
            self._state(parent) is not State.LOOSE and self._rows.axis(parent) is not None
            for parent in node.all_input_nodes
        )
        if axis is None or not has_rows:
            self._states[node] = State.LOOSE
            return self._call(node, lambda parent: self._lead(parent, rank))
        self._states[node] = State.FOLDED
        return self._together(self._call(node, lambda parent: self._beside(parent, axis, rank)), axis)

    def _lead(self, node: fx.Node, rank: int) -> Any:
        value = self.env[node]
        if not isinstance(value, Tensor) or self._state(node) is not State.LOOSE:
            return value
        return value.reshape(value.shape[0], *[1] * (rank - (value.ndim - 1)), *value.shape[1:])

    def _beside(self, node: fx.Node, axis: RowAxis, rank: int) -> Any:
        value = self.env[node]
        if not isinstance(value, Tensor):
            return value
        state, own = self._state(node), self._rows.axis(node)
        if state is State.LOOSE:
            return self._loose_apart(value, axis, rank, rowful=own is not None)
        if own is not None:
            return self._apart(value, own, state)
        behind = value.ndim - (rank - axis.position)  # axes of the value before the row axis
        if behind < 0:
            return value
        sizes = list(value.shape)
        return value.reshape(*sizes[: behind + 1], *[1] * (2 if axis.shared else 1), *sizes[behind + 1 :])

    def _weighs_rows(self, node: fx.Node) -> bool:
        """Tell whether a product is one of rows with random weights."""
        rows, weights, *bias = _operands(node)
        return (
            self._rows.axis(rows) is not None
            and self._rows.axis(weights) is None
            and self._state(weights) is State.LOOSE
            and all(self._state(part) is not State.LOOSE for part in bias)
        )

    def _multiply(self, node: fx.Node) -> Tensor:
        """Multiply rows by weights that differ from pass to pass, as where connections are dropped."""
        rows, weights, *bias = _operands(node)
        axis = self._rows.axis(rows)
        assert axis is not None
        factor = self.env[weights]
        factor = factor.transpose(1, 2) if node.target is aten.linear.default else factor
        apart = self._apart(self.env[rows], axis, self._state(rows))
        before = axis.position + self._before(axis)
        lead = apart.movedim(before, 0)
        factor = factor.reshape(factor.shape[0], *[1] * (lead.ndim - 3), *factor.shape[1:])
        self._states[node] = State.FOLDED
        product = self._together((lead @ factor).movedim(0, before), axis)
        return product + self.env[bias[0]] if bias else product

    def _run_with_loose(self, node: fx.Node) -> Any:
        loose = [parent for parent in node.all_input_nodes if self._state(parent) is State.LOOSE]
        rowless = [parent for parent in loose if self._rows.axis(parent) is None]
        if not rowless:
            self._states[node] = State.FOLDED
            return self._call(node, self._folded)
        if node.target in _PRODUCTS and self._weighs_rows(node):
            return self._multiply(node)
        varying = [parent for parent in node.all_input_nodes if self._state(parent) is not State.FIXED]
        if node.target is aten.gather.default:
            return self._held(node, self._gather(node))

        def one_pass(*each: Tensor) -> Any:
            by_node = dict(zip(varying, each, strict=True))
            return self._call(node, lambda parent: by_node.get(parent, self.env[parent]))

        return self._held(node, torch.vmap(one_pass)(*map(self._by_pass, varying)))

    def _gather(self, node: fx.Node) -> Tensor:
        """Gather in all passes at once; under vmap it would fix their number."""
        source, axis, index = node.args[:3]
        assert isinstance(axis, int)
        assert isinstance(source, fx.Node)
        assert isinstance(index, fx.Node)
        values, places = (
            self._by_pass(part) if self._state(part) is not State.FIXED else self.env[part].unsqueeze(0)
            for part in (source, index)
        )
        values, places = (part.expand(self._passes, *part.shape[1:]) for part in (values, places))
        return values.gather(axis + 1 if axis >= 0 else axis, places)

    def _by_pass(self, node: fx.Node) -> Tensor:
        """Give a value with its pass axis in front and, where it has rows, all B of them."""
        axis = self._rows.axis(node)
        if axis is None:
            value: Tensor = self.env[node]
            return value
        apart = self._apart(self._folded(node), axis, State.FOLDED).movedim(
            axis.position + self._before(axis), 0
        )
        return apart.flatten(1 + axis.position, 2 + axis.position) if axis.shared else apart

    def _held(self, node: fx.Node, passes: Any) -> Any:
        """Hold what was run pass by pass; rows that an operator made, as by ``expand``, are folded."""
        axis = self._rows.axis(node)
        self._states[node] = State.LOOSE if axis is None else State.FOLDED
        if axis is None:
            return passes
        beyond = RowAxis(axis.position + 1, axis.shared, axis.outer)
        apart = self._apart(passes, beyond, State.FIXED).squeeze(beyond.position + self._before(axis))
        return self._together(apart.movedim(0, axis.position + self._before(axis)), axis)

    def _unfolded(self, node: fx.Node) -> Tensor:
        axis = self._rows.axis(node)
        if axis is None or axis.position != 0 or axis.shared:
            raise ExportError(
                f"the output has shape {tuple(node.meta['val'].shape)}; its first axis must be the row"
            )
        if self._state(node) is State.FIXED:
            raise ExportError("the output depends on no dropout: every pass would be equal")
        return self._apart(self._folded(node), axis, State.FOLDED)


def _operands(node: fx.Node) -> list[fx.Node]:
    return [argument for argument in node.args if isinstance(argument, fx.Node)]


def _rowless(node: fx.Node) -> ExportError:
    return ExportError(
        f"a random value without a row axis is used {place(node)}; "
        "draw it with the rows as its first axis, or use it in elementwise arithmetic"
    )


def _is_pointwise(node: fx.Node) -> bool:
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and (
        torch.Tag.pointwise in target.tags or target in _POINTWISE_TOO
    )
