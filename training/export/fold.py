"""Runs the captured graph for N passes at once, with the passes folded into the rows.

A value is held in one of three states, by what it depends on:

- *fixed*: on no draw. It is computed once, for B rows, whatever the number of passes.
- *loose*: on draws alone. It is held with a leading pass axis, and with an axis of 1 in place of the rows.
- *folded*: on draws and rows. Its row axis holds N x B rows, pass by pass, so that every operator that
  runs a batch also runs all passes, without a rule of its own.

A pointwise operator broadcasts a fixed value to a loose or folded one. For other operators the fixed value
is repeated, but never computed again.
"""

from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map

from caveat.training.errors import ExportError
from caveat.training.export.by_pass import BY_PASS, DROPPED_WEIGHTS
from caveat.training.export.draw_operator import DRAW, SCALED
from caveat.training.export.recurrent import LAYERS, Lowering
from caveat.training.export.rows import RowAxis, Rows, place

aten = torch.ops.aten

_functorch: Any = torch._C._functorch

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
    """Runs a graph whose random operators are ``caveat::draw`` for all passes of the given draws.

    Parameters
    ----------
    graph
        A functional graph: no operator writes into its arguments.
    rows
        The row axes of the graph's values.
    draws
        Draws of each site, shape (N, ...), with 1 on the row axis.
    row_count
        Number of rows, B.
    """

    def __init__(self, graph: fx.GraphModule, rows: Rows, draws: Sequence[Tensor], row_count: int) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self._rows = rows
        self._draws = draws
        self._passes = draws[0].shape[0]
        self._row_count = row_count
        self._states: dict[fx.Node, State] = {}
        self._from_row_numbers: dict[fx.Node, bool] = {}
        self._repeated: dict[fx.Node, Any] = {}  # values of fixed nodes, for N x B rows

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, in the state that follows from its inputs."""
        if n.op == "output":
            return map_arg(n.args[0], self._unfolded)
        if n.op != "call_function":
            return super().run_node(n)
        if n.target is DRAW:
            self._states[n] = State.LOOSE
            return self._drawn(n)
        if n.target is aten._assert_tensor_metadata.default:
            return None
        if not isinstance(n.meta.get("val"), Tensor | tuple | list):
            return self._run_size(n)
        states = {self._state(parent) for parent in n.all_input_nodes}
        if states <= {State.FIXED}:
            return super().run_node(n)
        if State.LOOSE in states and not is_pointwise(n):
            return self._run_with_loose(n)
        if State.LOOSE in states or (is_pointwise(n) and self._meets_fixed_rows(n)):
            return self._broadcast(n)
        self._states[n] = State.FOLDED
        return self._call(n, self._folded)

    def _drawn(self, node: fx.Node) -> Tensor:
        """Give the draws of a site; a mask is scaled before it meets the rows, of which there may be many."""
        _, site, _, law, rate = node.args
        draws = self._draws[site]  # type: ignore[index]
        return SCALED(draws, 1 / (1 - rate)) if law == "keep" else draws  # type: ignore[operator]

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
                    f"a size depends on a draw {place(node)}; a size must be the same in every pass"
                )
            self._repeated[node] = self._call(node, self._folded)
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
        self._repeated[node] = size * self._passes if of_rows else size
        return size

    def _folded(self, node: fx.Node) -> Any:
        """Give a node's value for N x B rows."""
        if self._state(node) is State.FOLDED:
            return self.env[node]
        if self._state(node) is State.LOOSE:
            return self._with_rows(node)
        if node not in self._repeated:
            self._repeated[node] = self._repeat(node)
        return self._repeated[node]

    def _repeat(self, node: fx.Node) -> Any:
        value = node.meta.get("val")
        if isinstance(value, tuple | list):
            return type(value)(self.env[node])
        if self._uses_row_numbers(node):
            return self._call(node, self._folded)
        axis = self._rows.axis(node) if isinstance(value, Tensor) else None
        if axis is None:
            return self.env[node]
        split = self._split(self.env[node], axis, State.FIXED)
        return self._merge(split.expand(*self._expanded(split, axis)), axis)

    def _uses_row_numbers(self, node: fx.Node) -> bool:
        """Tell whether a fixed value comes from row numbers, which must count on instead of repeating."""
        if node not in self._from_row_numbers:
            self._from_row_numbers[node] = node.op == "call_function" and (
                (node.target in _ROW_NUMBERS and self._rows.axis(node) is not None)
                or any(
                    self._state(parent) is State.FIXED and self._uses_row_numbers(parent)
                    for parent in node.all_input_nodes
                )
            )
        return self._from_row_numbers[node]

    # The methods below split the row axis of a value into a pass axis and a row axis, side by side:
    # (..., N or 1, B or 1, [k], ...).

    @staticmethod
    def _axes_between(axis: RowAxis) -> int:
        """Count the axes between ``axis.position`` and the pass axis of a split value."""
        return 1 if axis.shared and not axis.outer else 0

    def _split(self, value: Tensor, axis: RowAxis, state: State) -> Tensor:
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

    def _merge(self, value: Tensor, axis: RowAxis) -> Tensor:
        last = axis.position + (2 if axis.shared else 1)
        return value.flatten(axis.position, last)

    def _expanded(self, value: Tensor, axis: RowAxis) -> list[Any]:
        sizes = list(value.shape)
        first = axis.position + self._axes_between(axis)
        sizes[first : first + 2] = [self._passes, self._row_count]
        return sizes

    def _align_loose(self, value: Tensor, axis: RowAxis, rank: int, has_rows: bool) -> Tensor:
        """Align a loose value with split ones: move its pass axis next to the row axis."""
        missing = rank - (value.ndim - 1)
        value = value.reshape(value.shape[0], *[1] * missing, *value.shape[1:])
        position = axis.position
        if has_rows and axis.shared:  # the draw holds k entries on the row axis
            value = value.unsqueeze(1 + position + (0 if axis.outer else 1))
        elif axis.shared:
            value = value.unsqueeze(1 + position)
        return value.movedim(0, position + self._axes_between(axis))

    def _with_rows(self, node: fx.Node) -> Tensor:
        """Repeat a loose value for all rows; refuse a value without a row axis."""
        axis = self._rows.axis(node)
        value: Tensor = self.env[node]
        if axis is None:
            raise _rowless(node)
        split = self._align_loose(value, axis, value.ndim - 1, has_rows=True)
        return self._merge(split.expand(*self._expanded(split, axis)), axis)

    def _broadcast(self, node: fx.Node) -> Any:
        """Run a pointwise operator on values in different states."""
        axis = self._rows.axis(node)
        rank = node.meta["val"].ndim
        has_rows = any(
            self._state(parent) is not State.LOOSE and self._rows.axis(parent) is not None
            for parent in node.all_input_nodes
        )
        if axis is None or not has_rows:
            self._states[node] = State.LOOSE
            return self._call(node, lambda parent: self._padded(parent, rank))
        self._states[node] = State.FOLDED
        return self._merge(self._call(node, lambda parent: self._aligned(parent, axis, rank)), axis)

    def _padded(self, node: fx.Node, rank: int) -> Any:
        value = self.env[node]
        if not isinstance(value, Tensor) or self._state(node) is not State.LOOSE:
            return value
        return value.reshape(value.shape[0], *[1] * (rank - (value.ndim - 1)), *value.shape[1:])

    def _aligned(self, node: fx.Node, axis: RowAxis, rank: int) -> Any:
        value = self.env[node]
        if not isinstance(value, Tensor):
            return value
        state, own = self._state(node), self._rows.axis(node)
        if state is State.LOOSE:
            return self._align_loose(value, axis, rank, has_rows=own is not None)
        if own is not None:
            return self._split(value, own, state)
        ahead = value.ndim - (rank - axis.position)  # axes of the value before the row axis
        if ahead < 0:
            return value
        sizes = list(value.shape)
        return value.reshape(*sizes[: ahead + 1], *[1] * (2 if axis.shared else 1), *sizes[ahead + 1 :])

    def _has_random_weights(self, node: fx.Node) -> bool:
        """Tell whether a node multiplies rows by random weights."""
        rows, weights, *bias = _operands(node)
        return (
            self._rows.axis(rows) is not None
            and self._rows.axis(weights) is None
            and self._state(weights) is State.LOOSE
            and all(self._state(part) is not State.LOOSE for part in bias)
        )

    def _multiply(self, node: fx.Node) -> Tensor:
        """Multiply rows by weights that differ between passes, as when connections are dropped."""
        rows, weights, *bias = _operands(node)
        axis = self._rows.axis(rows)
        assert axis is not None
        factor = self.env[weights]
        factor = factor.transpose(1, 2) if node.target is aten.linear.default else factor
        split = self._split(self.env[rows], axis, self._state(rows))
        before = axis.position + self._axes_between(axis)
        lead = split.movedim(before, 0)
        factor = factor.reshape(factor.shape[0], *[1] * (lead.ndim - 3), *factor.shape[1:])
        self._states[node] = State.FOLDED
        product = self._merge((lead @ factor).movedim(0, before), axis)
        return product + self.env[bias[0]] if bias else product

    def _run_with_loose(self, node: fx.Node) -> Any:
        loose = [parent for parent in node.all_input_nodes if self._state(parent) is State.LOOSE]
        rowless = [parent for parent in loose if self._rows.axis(parent) is None]
        if not rowless:
            self._states[node] = State.FOLDED
            return self._call(node, self._folded)
        if node.target in _PRODUCTS and self._has_random_weights(node):
            return self._multiply(node)
        varying = [parent for parent in node.all_input_nodes if self._state(parent) is not State.FIXED]
        if node.target in BY_PASS:
            arguments = map_arg((node.args, node.kwargs), self._by_pass_or_common)
            return self._from_passes(node, BY_PASS[node.target](*arguments[0], **arguments[1]))

        def one_pass(*each: Tensor) -> Any:
            by_node = dict(zip(varying, each, strict=True))
            return self._call(node, lambda parent: by_node.get(parent, self.env[parent]))

        _functorch._set_vmap_fallback_enabled(False)  # it would fix the number of passes
        try:
            passes = torch.vmap(one_pass)(*map(self._by_pass, varying))
        except Exception as error:  # of many classes, from the tracer
            raise _not_for_passes(node) from error
        finally:
            _functorch._set_vmap_fallback_enabled(True)
        if isinstance(self._passes, torch.SymInt) and not _is_free(passes):
            raise _not_for_passes(node)
        return self._from_passes(node, passes)

    def _by_pass_or_common(self, node: fx.Node) -> Tensor:
        """Give a value with its pass axis in front, of size 1 if it is the same in every pass."""
        if self._state(node) is State.FIXED:
            value: Tensor = self.env[node].unsqueeze(0)
            return value
        return self._by_pass(node)

    def _by_pass(self, node: fx.Node) -> Tensor:
        """Give a value with its pass axis in front, and all B rows if it has a row axis."""
        axis = self._rows.axis(node)
        if axis is None:
            value: Tensor = self.env[node]
            return value
        split = self._split(self._folded(node), axis, State.FOLDED).movedim(
            axis.position + self._axes_between(axis), 0
        )
        return split.flatten(1 + axis.position, 2 + axis.position) if axis.shared else split

    def _from_passes(self, node: fx.Node, passes: Any) -> Any:
        """Take in what was computed pass by pass; rows that an operator made are folded."""
        source = node.all_input_nodes[0] if node.target in LAYERS else node  # a layer gives several values
        axis = self._rows.axis(source)
        self._states[node] = State.LOOSE if axis is None else State.FOLDED
        return passes if axis is None else tree_map(partial(self._into_rows, axis=axis), passes)

    def _into_rows(self, passes: Tensor, axis: RowAxis) -> Tensor:
        """Fold the pass axis in front of a value into its rows."""
        beyond = RowAxis(axis.position + 1, axis.shared, axis.outer)
        split = self._split(passes, beyond, State.FIXED).squeeze(beyond.position + self._axes_between(axis))
        return self._merge(split.movedim(0, axis.position + self._axes_between(axis)), axis)

    def _unfolded(self, node: fx.Node) -> Tensor:
        axis = self._rows.axis(node)
        if axis is None or axis.position != 0 or axis.shared:
            raise ExportError(
                f"the output has shape {tuple(node.meta['val'].shape)}; its first axis must be the row"
            )
        if self._state(node) is State.FIXED:
            raise ExportError("the output depends on no dropout: every pass would be equal")
        return self._split(self._folded(node), axis, State.FOLDED)


def _operands(node: fx.Node) -> list[fx.Node]:
    return [argument for argument in node.args if isinstance(argument, fx.Node)]


def _is_free(passes: Any) -> bool:
    """Tell whether an operator, run for all passes at once, left their number free."""
    return all(isinstance(part.shape[0], torch.SymInt) for part in tree_leaves(passes))


def _not_for_passes(node: fx.Node) -> ExportError:
    return ExportError(
        f"{node.target} takes a random value that all rows share, such as a dropped weight, {place(node)}; "
        f"it can't run for several passes at once. {DROPPED_WEIGHTS}"
    )


def _rowless(node: fx.Node) -> ExportError:
    return ExportError(
        f"a random value without a row axis is used {place(node)}; "
        "draw it with the rows as its first axis, or use it in elementwise arithmetic"
    )


def is_pointwise(node: fx.Node) -> bool:
    """Tell whether an operator computes each entry from those at the same place of its arguments."""
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and (
        torch.Tag.pointwise in target.tags or target in _POINTWISE_TOO
    )
