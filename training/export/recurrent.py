"""LSTM, GRU and RNN as single layers, with the dropout between them as an operator of the graph.

PyTorch runs all layers of a recurrent network in one operator, which a trace unrolls over time. Here each
layer is an operator of its own, which is traced for any length and translated to ONNX's operator.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from onnxscript import opset20
from torch import Tensor, fx
from torch._higher_order_ops.scan import scan
from torch.overrides import TorchFunctionMode

from caveat.models.bundles.shared import LARGE
from caveat.training.errors import ExportError
from caveat.training.export import divisions, stable
from caveat.training.export.draw_operator import LIBRARY

op: Any = opset20  # its annotations have no optional inputs

_SIGNATURE = "(Tensor x, Tensor[] state, Tensor[] weights, bool biases, bool bidirectional) -> Tensor[]"
_KINDS: dict[str, Any] = {
    "lstm": torch._VF.lstm,
    "gru": torch._VF.gru,
    "rnn_tanh": torch._VF.rnn_tanh,
    "rnn_relu": torch._VF.rnn_relu,
}


def _define(kind: str, run: Callable[..., Any]) -> None:
    LIBRARY.define(f"{kind}_layer{_SIGNATURE}")

    def layer(
        x: Tensor, state: list[Tensor], weights: list[Tensor], biases: bool, bidirectional: bool
    ) -> list[Tensor]:
        hidden = state if kind == "lstm" else state[0]
        outputs = run(x, hidden, list(weights), biases, 1, 0.0, False, bidirectional, False)
        return [output.clone() for output in outputs]

    def fake(
        x: Tensor, state: list[Tensor], _weights: list[Tensor], _biases: bool, bidirectional: bool
    ) -> list[Tensor]:
        directions = 2 if bidirectional else 1
        output = x.new_empty(x.shape[0], x.shape[1], directions * state[0].shape[-1])
        return [output, *(torch.empty_like(part) for part in state)]

    torch.library.impl(f"caveat::{kind}_layer", "CompositeExplicitAutograd", layer, lib=LIBRARY)
    torch.library.register_fake(f"caveat::{kind}_layer", fake, lib=LIBRARY)


for _kind, _run in _KINDS.items():
    _define(_kind, _run)


LAYERS = {getattr(torch.ops.caveat, f"{kind}_layer").default: kind for kind in _KINDS}
"""The kind of each layer's operator."""


class LayerByLayer(TorchFunctionMode):
    """A mode in which recurrent networks run layer by layer."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a recurrent network layer by layer; run everything else unchanged."""
        if func is torch._VF._pack_padded_sequence:
            raise ExportError(
                "the network packs a sequence, in which each row has its own length; a graph can't do that. "
                "Feed the padded tensor to the recurrent layer, and select each row's last step by its length"
            )
        for kind, whole in _KINDS.items():
            if func is whole:
                return _layers(kind, *args)
        return func(*args, **(kwargs or {}))


def _layers(kind: str, x: Tensor, state: Any, weights: Any, *options: Any) -> Any:
    biases, layers, rate, train, bidirectional, batch_first = options
    states: list[Tensor] = list(state) if kind == "lstm" else [state]
    directions = 2 if bidirectional else 1
    each = len(weights) // layers
    if batch_first:
        x = x.transpose(0, 1)
    ends: list[list[Tensor]] = []
    for layer in range(layers):
        start = [part[layer * directions : (layer + 1) * directions] for part in states]
        run = getattr(torch.ops.caveat, f"{kind}_layer")
        x, *end = run(x, start, list(weights[layer * each : (layer + 1) * each]), biases, bidirectional)
        ends.append(end)
        if layer < layers - 1:
            x = F.dropout(x, rate, train)
    if batch_first:
        x = x.transpose(0, 1)
    return (x, *(torch.cat(parts) for parts in zip(*ends, strict=True)))


_ARITHMETIC = {
    getattr(getattr(torch.ops.aten, name), kind)
    for name in ("add", "sub", "mul", "rsub")
    for kind in ("Tensor", "Scalar")
}


class Lowering(fx.Interpreter):
    """Runs a captured graph, and rewrites what ONNX has no operator for, or what would not be stable."""

    def __init__(self, graph: fx.GraphModule, **options: Any) -> None:
        super().__init__(graph, **options)
        # Weights that are not packed ahead are multiplied in another way by a lone row.
        self._is_large = sum(weights.nbytes for weights in graph.state_dict().values()) >= LARGE

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator; an LSTM with projections becomes a scan over time."""
        if stable.adds_up_inner_axes(target, args, kwargs):
            return stable.as_product(target, args, kwargs)
        if self._is_large and stable.multiplies_lone_row(target, args):
            return stable.with_one_more_row(target, args)
        if target is torch.ops.aten.copy.default:  # not tagged as pointwise, though it is
            over, source, *_ = args
            return torch.broadcast_tensors(over, source)[1].to(over.dtype)
        if target in _ARITHMETIC and isinstance(args[0], Tensor):  # in ONNX, operands have the same type
            common = torch.result_type(args[0], args[1])
            args = (*(x.to(common) if isinstance(x, Tensor) else x for x in args[:2]), *args[2:])
        if divisions.divides_integers(target, args, kwargs):
            return divisions.as_integers(args, kwargs)
        if target is torch.ops.caveat.lstm_layer.default and args[1][0].shape[-1] != args[1][1].shape[-1]:
            return _projected(*args)
        if target is torch.ops.aten.scaled_dot_product_attention.default and args[0].ndim == 3:
            # ONNX's translation takes heads.
            args = tuple(x.unsqueeze(1) if isinstance(x, Tensor) and x.ndim == 3 else x for x in args)
            return super().call_function(target, args, kwargs).squeeze(1)
        return super().call_function(target, args, kwargs)


def _projected(
    x: Tensor, state: list[Tensor], weights: list[Tensor], biases: bool, bidirectional: bool
) -> Any:
    """Run an LSTM layer with projections (Sak et al., 2014), which ONNX's LSTM lacks."""
    directions = 2 if bidirectional else 1
    each = len(weights) // directions
    runs = []
    for way in range(directions):
        w_input, w_hidden, *bias, w_project = weights[way * each : (way + 1) * each]
        steps = x @ w_input.t() + (bias[0] + bias[1] if biases else 0.0)
        runs.append(
            _project_steps(steps.flip(0) if way else steps, state[0][way], state[1][way], w_hidden, w_project)
        )
    outputs = [run[0].flip(0) if way else run[0] for way, run in enumerate(runs)]
    return [
        torch.cat(outputs, -1),
        torch.stack([run[1] for run in runs]),
        torch.stack([run[2] for run in runs]),
    ]


def _project_steps(
    steps: Tensor, hidden: Tensor, cell: Tensor, w_hidden: Tensor, w_project: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    def step(carry: list[Tensor], gates: Tensor) -> tuple[list[Tensor], Tensor]:
        hidden, cell = carry
        i, f, g, o = (gates + hidden @ w_hidden.t()).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = (o.sigmoid() * cell.tanh()) @ w_project.t()
        return [hidden, cell], hidden.clone()

    (hidden, cell), outputs = scan(step, [hidden.clone(), cell.clone()], steps)
    return outputs, hidden, cell


# ONNX has the gates of a cell in another order, and the weights of both directions in one tensor.
_GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn_tanh": (0,), "rnn_relu": (0,)}


def _translation(kind: str) -> Callable[..., Any]:
    gates = _GATES[kind]

    def reordered(weight: Any) -> Any:
        if len(gates) == 1:
            return weight
        parts = op.Split(weight, axis=0, num_outputs=len(gates))
        return op.Concat(*(parts[gate] for gate in gates), axis=0)

    def stacked(tensors: Sequence[Any]) -> Any:
        first = op.Constant(value_ints=[0])
        return op.Concat(*(op.Unsqueeze(tensor, first) for tensor in tensors), axis=0)

    def translate(x: Any, state: Any, weights: Any, biases: bool, bidirectional: bool) -> Any:
        directions = 2 if bidirectional else 1
        each = [
            weights[i : i + len(weights) // directions]
            for i in range(0, len(weights), len(weights) // directions)
        ]
        inputs = [x, stacked([reordered(w[0]) for w in each]), stacked([reordered(w[1]) for w in each])]
        bias = None
        if biases:
            bias = stacked([op.Concat(reordered(w[2]), reordered(w[3]), axis=0) for w in each])
        options: dict[str, Any] = {
            "hidden_size": each[0][1].shape[1],
            "direction": "bidirectional" if bidirectional else "forward",
        }
        if kind == "lstm":
            outputs = op.LSTM(*inputs, bias, None, *state, None, **options)
        elif kind == "gru":
            outputs = op.GRU(*inputs, bias, None, *state, linear_before_reset=1, **options)
        else:
            activation = {"rnn_tanh": "Tanh", "rnn_relu": "Relu"}[kind]
            outputs = op.RNN(*inputs, bias, None, *state, activations=[activation] * directions, **options)
        y = op.Reshape(op.Transpose(outputs[0], perm=[0, 2, 1, 3]), op.Constant(value_ints=[0, 0, -1]))
        return [y, *outputs[1:]]

    return translate


TRANSLATIONS = {layer: _translation(kind) for layer, kind in LAYERS.items()}
"""The translation of each layer to ONNX, for `torch.onnx.export`."""
