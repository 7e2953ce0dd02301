"""Layers of LSTM, GRU and RNN whose weights differ between passes, step by step."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan

from caveat.training.errors import ExportError

_Cell = Callable[[Tensor, Tensor, list[Tensor]], list[Tensor]]


def layer(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    biases: bool,
    bidirectional: bool,
) -> list[Tensor]:
    """Run a layer for all passes.

    Parameters
    ----------
    kind
        ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
    x
        Shape (N, T, B, features).
    states
        First hidden state, and for an LSTM the cell, (N, directions, B, H).
    weights
        Those of ``torch.nn``, each (N, ...). N may be 1 in each argument.
    biases, bidirectional
        Options of the layer.

    Returns
    -------
    list of Tensor
        Outputs (N, T, B, directions x H), and the last states.

    Raises
    ------
    ExportError
        If the layer is an LSTM with projections.
    """
    directions = 2 if bidirectional else 1
    each = len(weights) // directions
    if each % 2:
        raise ExportError(
            "an LSTM with proj_size can't have dropped weights; leave proj_size out, and put a linear layer "
            "behind it"
        )
    passes = torch.broadcast_shapes(*(tensor.shape[:1] for tensor in (x, *states, *weights)))[0]
    steps = x.transpose(0, 1)  # (T, N, B, features)
    outputs, ends = [], []
    for way in range(directions):
        w_input, w_hidden, *bias = (_rowwise(weight) for weight in weights[way * each : (way + 1) * each])
        ahead = (steps.flip(0) if way else steps) @ w_input.mT
        hidden_bias = None
        if biases:
            ahead = ahead + bias[0]
            hidden_bias = bias[1].expand(passes, x.shape[2], -1).contiguous()
        ahead = ahead.expand(-1, passes, -1, -1)
        first = [state[:, way].expand(passes, -1, -1).clone() for state in states]
        *last, output = _run(kind, ahead, first, w_hidden.mT, hidden_bias)
        outputs.append(output.flip(0) if way else output)
        ends.append(last)
    together = torch.cat(outputs, -1).transpose(0, 1)
    return [together, *(torch.stack(parts, 1) for parts in zip(*ends, strict=True))]


def _rowwise(weight: Tensor) -> Tensor:
    """Give a weight in a shape that multiplies or adds to rows; PyTorch's scan takes no axis of size 1."""
    if weight.shape[0] == 1:
        return weight.squeeze(0)
    return weight.unsqueeze(1) if weight.ndim == 2 else weight


def _run(
    kind: str, ahead: Tensor, first: list[Tensor], w_hidden: Tensor, bias: Tensor | None
) -> list[Tensor]:
    def step(state: list[Tensor], gates: Tensor) -> tuple[list[Tensor], Tensor]:
        hidden = state[0] @ w_hidden
        new = _CELLS[kind](gates, hidden if bias is None else hidden + bias, state)
        return new, new[0].clone()

    last, outputs = scan(step, first, ahead)
    return [*last, outputs]


def _lstm(ahead: Tensor, hidden: Tensor, state: list[Tensor]) -> list[Tensor]:
    i, f, g, o = (ahead + hidden).chunk(4, -1)
    cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return [o.sigmoid() * cell.tanh(), cell]


def _gru(ahead: Tensor, hidden: Tensor, state: list[Tensor]) -> list[Tensor]:
    (r, z, n), (r_hidden, z_hidden, n_hidden) = ahead.chunk(3, -1), hidden.chunk(3, -1)
    update = (z + z_hidden).sigmoid()
    new = (n + (r + r_hidden).sigmoid() * n_hidden).tanh()
    return [(1 - update) * new + update * state[0]]


_CELLS: dict[str, _Cell] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": lambda ahead, hidden, _: [(ahead + hidden).tanh()],
    "rnn_relu": lambda ahead, hidden, _: [(ahead + hidden).relu()],
}
