"""Checks of a network before its graphs are made, each with a message that says what to change."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from caveat.training.errors import ExportError
from caveat.training.export.capture import answer
from caveat.training.export.randomness import rate_of, set_rate
from caveat.training.export.reference import RunningStatistics
from caveat.training.export.rows import place
from caveat.training.export.sites import Found

aten = torch.ops.aten

_TOLERANCE = 1e-4


def answers_with_finite_numbers(answers: Tensor) -> None:
    """Refuse a network whose answers to the example are not all finite; no service could give them."""
    infinite = (~answers.isfinite()).nonzero().tolist()
    if infinite:
        number = float(answers[tuple(infinite[0])])
        raise ExportError(
            f"the network answers row {[*infinite[0], 0][0]} of the example with {number}, and answers must "
            "be finite. Guard what may fail, such as a division by 0 or a logarithm of 0, or give rows that "
            "the network can answer"
        )


def keeps_running_statistics(graph: fx.GraphModule) -> None:
    """Refuse a batch norm that has no running mean and variance, and takes those of the batch."""
    for node in graph.graph.nodes:
        if node.target is aten.batch_norm.default and node.args[3] is None:
            raise ExportError(
                f"a batch norm takes mean and variance from the rows of a request {place(node)}: a row's "
                "answer would depend on its neighbours. Train it with running statistics "
                "(track_running_stats=True)"
            )


def answers_each_row_alone(
    evaluated: nn.Module, graph: fx.GraphModule, rows: Sequence[Tensor], together: Tensor
) -> None:
    """Refuse a network whose answer for a row depends on the other rows; ``together`` are the answers."""
    with torch.no_grad():
        for row in sorted({0, 1, len(rows[0]) - 1}):
            alone = evaluated(*(tensor[row : row + 1].clone() for tensor in rows))
            if alone.ndim == 0 or len(alone) != 1 or len(together) != len(rows[0]):
                raise ExportError(
                    f"the network answers {len(rows[0])} rows with shape {tuple(together.shape)} and one "
                    f"with {tuple(alone.shape)}; the first axis of its output must be the row"
                )
            if _difference(alone[0], together[row]) > _TOLERANCE:
                raise ExportError(
                    f"row {row} of the example gets another answer alone than among {len(rows[0])} rows: "
                    f"the network mixes the rows of a batch{_where_rows_mix(graph, rows)}. "
                    "Compute each row on its own"
                )


def _where_rows_mix(graph: fx.GraphModule, rows: Sequence[Tensor]) -> str:
    """Find the place of the first value whose first row changes with the other rows."""
    first = [torch.cat([tensor[:1]] * len(tensor)) for tensor in rows]
    own, others = (_Values(graph).of(tensors) for tensors in (first, [*map(_replace_others, first, rows)]))
    for node, value in own.items():
        if value.ndim and len(value) == len(rows[0]) and not _equal(value[0], others[node][0]):
            return f" {place(node)}"
    return ""


def _equal(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(), other.nan_to_num())  # NaN, such as a missing value, differs from NaN


def _replace_others(first: Tensor, rows: Tensor) -> Tensor:
    return torch.cat([first[:1], rows.flip(0)[:-1]])


class _Values(fx.Interpreter):
    """Keeps every tensor that a graph computes."""

    def of(self, rows: Sequence[Tensor]) -> dict[fx.Node, Tensor]:
        self._kept: dict[fx.Node, Tensor] = {}
        self.run(*_copies(rows))
        return self._kept

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self._kept[n] = value.clone()
        return value


def answers_alike_in_both_modes(evaluated: Tensor, sampled: nn.Module, rows: Sequence[Tensor]) -> None:
    """Refuse a network that has other outputs in training mode, such as auxiliary ones.

    Parameters
    ----------
    evaluated
        Answers to the rows in eval mode.
    sampled, rows
        The network in training mode, and the rows.
    """
    advice = (
        "Switch off what only training needs, or wrap the network in a module that returns the served output "
        "in both modes"
    )
    try:
        with RunningStatistics():
            found, expected = tuple(answer(sampled, rows).shape), tuple(evaluated.shape)
    except ExportError as error:
        raise ExportError(f"in training mode, unlike in eval mode, {error}. {advice}") from None
    if found != expected:
        raise ExportError(
            f"in training mode the network answers with shape {found}, in eval mode with {expected}. {advice}"
        )


def differs_by_its_draws_alone(
    captured: fx.GraphModule,
    found: Sequence[Found],
    evaluated: Tensor,
    rows: Sequence[Tensor],
    by_target: bool = False,
) -> None:
    """Refuse a network that, even with all dropout off, computes other outputs in training mode.

    ``evaluated`` are the answers to the rows in eval mode.
    A network that draws with its own code is not checked, since nothing tells which draws mean "off".
    Several targets are compared one by one, since each has its own unit.
    """
    rates = {site.node: rate for site in found if (rate := rate_of(site.node)) != 0}
    if None in rates.values():
        return
    try:
        for node in rates:
            set_rate(node, 0.0)
        with torch.no_grad():
            undropped = fx.Interpreter(captured).run(*_copies(rows))
        pairs = zip(undropped.unbind(1), evaluated.unbind(1), strict=True) if by_target else None
        difference = max(_difference(*pair) for pair in pairs or [(undropped, evaluated)])
    finally:
        for node, rate in rates.items():
            set_rate(node, rate or 0.0)
    if difference > _TOLERANCE:
        raise ExportError(
            "in training mode the network computes other outputs than in eval mode, apart from its draws: "
            f"with all dropout off its outputs differ by {difference:.1e} of the largest. Passes would not "
            "scatter around the answer without dropout; remove all code but dropout that depends on "
            "self.training"
        )


def _copies(rows: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in rows]  # a network may write into its inputs


def _difference(found: Any, expected: Tensor) -> float:
    """Give the largest difference relative to the largest value; 0 where both values are NaN."""
    scale = max(float(expected.nan_to_num().abs().max()), 1e-30)
    return float((found - expected).nan_to_num(nan=0.0).abs().max()) / scale
