"""Translation of PyTorch graphs to ONNX."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from unittest.mock import patch

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.onnx._internal._lazy_import import onnxscript_apis  # type: ignore[attr-defined]

from caveat.training.errors import ExportError
from caveat.training.export import divisions, draw_operator, recurrent
from caveat.training.export.by_pass import DROPPED_WEIGHTS
from caveat.training.export.capture import quiet
from caveat.training.export.recurrent import Lowering

OPSET = 20
OUTPUT = "output"

AxisNames = Mapping[int, str]
"""Names of an input's free sizes, by axis."""


class Plain(nn.Module):
    """A captured graph as a module for the exporter."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        super().__init__()
        self.network = graph
        for part in self.modules():
            part.training = False

    def forward(self, *inputs: Tensor) -> Any:
        """Run the graph."""
        return Lowering(self.network).run(*inputs)


def translate(module: nn.Module, inputs: Mapping[str, Tensor], axes: Sequence[AxisNames]) -> ir.Model:
    """Translate a module to ONNX.

    Parameters
    ----------
    module
        Module whose ``forward`` takes the tensors of ``inputs``, in their order.
    inputs
        Example inputs by name.
    axes
        Names of the free sizes of each input.

    Raises
    ------
    ExportError
        If the exporter fails.
    """
    free = tuple(dict.fromkeys(names, Dim.DYNAMIC) for names in axes)
    try:
        model = _exported(module, inputs, free)
    except Exception as error:  # the exporter wraps errors of any class
        raise _reason(error, axes) from error
    divisions.guard(model)
    _name_sizes(model, axes)
    _forget_origin(model)
    return model


def _exported(module: nn.Module, inputs: Mapping[str, Tensor], free: tuple[Any, ...]) -> ir.Model:
    torch._dynamo.reset()  # it traces steps over time, and would take sizes of other networks for fixed ones
    # The exporter parses its thousand translations again for every graph, which would take most of the time.
    read_once = patch.object(onnxscript_apis, "get_torchlib_ops", _translations)
    with quiet(), read_once, warnings.catch_warnings(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(free,),
            input_names=list(inputs),
            output_names=[OUTPUT],
            custom_translation_table=recurrent.TRANSLATIONS | draw_operator.TRANSLATIONS,
            verbose=False,
        )
    assert program is not None
    return program.model


def _reason(error: BaseException, axes: Sequence[AxisNames]) -> ExportError:
    """Find the first cause of an error, below the exporter's own messages."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    ours = [cause for cause in causes if isinstance(cause, ExportError)]
    if ours:
        return ExportError(str(ours[0]).partition("\n\nWhile executing")[0])  # what fx adds
    fixed = re.search(r"a static shape of (\d+) for dimension .*\[(\d+)\]\.shape\[(\d+)\]", str(causes[-1]))
    if fixed:
        size, number, axis = map(int, fixed.groups())
        return ExportError(
            f"an operator of the network fixes the number of {axes[number][axis]} to {size} where all passes "
            f"run at once, as one whose weights are dropped may. {DROPPED_WEIGHTS}"
        )
    lines = [line for line in str(causes[-1]).splitlines() if line.strip()] or [type(causes[-1]).__name__]
    return ExportError(f"the network can't be written as ONNX: {' '.join(lines[:2])}")


_read_translations = onnxscript_apis.get_torchlib_ops


@cache
def _translations() -> Any:
    return _read_translations()


def _name_sizes(model: ir.Model, axes: Sequence[AxisNames]) -> None:
    """Replace the tracer's names of the free sizes by those of the manifest."""
    names: dict[str, str] = {}
    for value, named in zip(model.graph.inputs, axes, strict=True):
        assert value.shape is not None
        names |= {str(value.shape[axis]): name for axis, name in named.items()}
    for value in _values(model):
        if value.shape is not None:
            value.shape = ir.Shape([_renamed(size, names) for size in value.shape])


def _renamed(size: int | ir.SymbolicDim, names: Mapping[str, str]) -> int | str | None:
    if isinstance(size, int) or size.value is None:
        return size if isinstance(size, int) else None
    return re.sub(r"\w+", lambda symbol: names.get(symbol[0], symbol[0]), str(size))


def _forget_origin(model: ir.Model) -> None:
    """Remove the exporter's stack traces and notes, which hold paths of the machine that ran it."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.graph.doc_string = None
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
    for value in _values(model):
        value.metadata_props.clear()
        value.doc_string = None


def _values(model: ir.Model) -> Iterable[ir.Value]:
    yield from model.graph.inputs
    yield from model.graph.initializers.values()
    for node in model.graph:
        yield from node.outputs
