"""Tracing of a network into a graph of ATen operators, in which every random operator is its own node."""

import builtins
import copy
import logging
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from types import CellType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._dynamo import trace_rules
from torch.distributions import Distribution
from torch.export import Dim
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from caveat.models.bundles.signature import ROWS
from caveat.training.errors import ExportError
from caveat.training.export.bags import PlainEmbeddings
from caveat.training.export.parts import unwrapped
from caveat.training.export.places import with_places
from caveat.training.export.recurrent import LayerByLayer
from caveat.training.export.reference import RunningStatistics
from caveat.training.export.still import fix_parametrizations, hold_still

_LOGGERS = ("torch.onnx", "onnxscript", "torch.fx.experimental.symbolic_shapes", "torch.export")


def copy_network(module: nn.Module) -> nn.Module:
    """Copy a network, but share its parameters: they may be large, and the export never writes to them.

    A tensor that the network computed and kept, such as a normalised weight, can't be copied together with
    its gradient history. It is copied without, and computed again when the copy runs.
    """
    shared = {id(parameter): parameter for parameter in module.parameters()}
    kept = [value for part in module.modules() for value in vars(part).values()]
    computed = {
        id(value): value.detach() for value in kept if isinstance(value, Tensor) and not value.is_leaf
    }
    copies: dict[int, Any] = {**shared, **computed}
    try:
        copied = copy.deepcopy(module, copies)
        for part in copied.modules():
            if isinstance(forward := vars(part).get("forward"), FunctionType):
                part.forward = _rebound(forward, copies)
    except Exception as error:  # a module may hold anything, such as a lock or an open file
        raise ExportError(
            f"the network can't be copied: {error}. Keep such a thing out of its modules"
        ) from error
    for part in list(copied.modules()):
        for name, child in part._modules.items():
            part._modules[name] = None if child is None else unwrapped(child)
    fix_parametrizations(copied)
    return copied


def _rebound(function: FunctionType, copies: dict[int, Any]) -> FunctionType:
    """Make a function that was put in the place of a module's own run the copies of the modules it holds."""
    cells = [
        CellType(copy.deepcopy(held, copies) if isinstance(held, nn.Module | MethodType) else held)
        for held in (cell.cell_contents for cell in function.__closure__ or ())
    ]
    rebound = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, tuple(cells)
    )
    rebound.__kwdefaults__ = function.__kwdefaults__
    return rebound


def in_training_mode(module: nn.Module) -> nn.Module:
    """Copy a network and set the copy up for sampling: dropout on, batch norms on running statistics."""
    module = copy_network(module).train()
    hold_still(module)
    return module


def answer(module: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """Run a network on the example.

    Raises
    ------
    ExportError
        If the network does not run.
    """
    try:
        with torch.no_grad():
            output: Tensor = module(*(tensor.clone() for tensor in inputs))  # it may write into its inputs
    except ExportError:
        raise
    except Exception as error:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        hint = _other_types(module, inputs)
        raise ExportError(
            f"the network does not run on the example of shape {shapes}: {error}{hint}"
        ) from error
    return output


def capture(module: nn.Module, inputs: Sequence[Tensor], axes: Sequence[Mapping[int, str]]) -> fx.GraphModule:
    """Trace a network into a graph, in its current mode.

    Parameters
    ----------
    module
        The network.
    inputs
        Example inputs.
    axes
        For each input, the names of its free sizes by axis; axis 0 holds the rows.

    Raises
    ------
    ExportError
        If the network's control flow depends on data, or the tracer fails.
    """
    fixing: list[str] = []
    try:
        with (
            quiet(),
            RunningStatistics(),
            LayerByLayer(),
            PlainEmbeddings(),
            _len_stays_free(),
            with_places() as fixing,
        ):
            return _graph(trace(module, inputs, axes))
    except ExportError:
        raise
    except GuardOnDataDependentSymNode as error:
        raise ExportError(
            f"the network's control flow depends on the values of a row or of a draw: {_user_line(error)}. A "
            "graph runs the same branch for all rows and passes; compute both branches and choose with "
            "torch.where, or switch the choice off (such as with layerdrop=0)"
        ) from error
    except Exception as error:
        fixed = _fixed(str(error), axes)
        if fixed:
            line = f", {fixing[-1]}" if fixing else ""
            raise ExportError(f"the network fixes the size {fixed}{line}; {_remedy(fixed)}") from error
        raise ExportError(f"the network can't be traced into a graph: {_reason(error)}") from error


def _other_types(module: nn.Module, inputs: Sequence[Tensor]) -> str:
    weights = {str(part.dtype) for part in module.parameters()}
    given = {str(tensor.dtype) for tensor in inputs}
    if not weights or given & weights:
        return ""
    return f". The example is {', '.join(given)}, the weights are {', '.join(weights)}: convert the example"


def functional(
    module: nn.Module, inputs: Sequence[Tensor], axes: Sequence[Mapping[int, str]]
) -> fx.GraphModule:
    """Trace a network into a graph in which no operator writes into its arguments."""
    try:
        with quiet():
            graph = _graph(trace(module, inputs, axes).run_decompositions({}))
    except Exception as error:
        raise ExportError(f"the network's graph can't be rewritten for passes: {_reason(error)}") from error
    graph.graph.eliminate_dead_code()
    return graph


def trace(
    module: nn.Module, inputs: Sequence[Tensor], axes: Sequence[Mapping[int, str]]
) -> torch.export.ExportedProgram:
    """Run `torch.export` with the given axes free."""
    free = tuple(dict.fromkeys(names, Dim.DYNAMIC) for names in axes)
    # With gradients on, operators under a network's own no_grad would be traced into a nested graph.
    # Distributions check the values of their arguments, which a trace can't follow.
    # PyTorch prints a graph that it can't finish.
    with quiet(), torch.no_grad(), _without_argument_checks(), redirect_stderr(StringIO()):
        return torch.export.export(module, tuple(inputs), dynamic_shapes=_for_variadic(module, free))


def _graph(program: torch.export.ExportedProgram) -> fx.GraphModule:
    return program.module(check_guards=False)


def _for_variadic(module: nn.Module, free: tuple[Any, ...]) -> Any:
    variadic = type(module).forward.__code__.co_flags & 0x04
    return (free,) if variadic else free


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporters' logs and warnings, and PyTorch's switches between kernels."""
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in _LOGGERS}
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a fused operator that only inference uses
    detect = nn.modules.transformer._detect_is_causal_mask
    nn.modules.transformer._detect_is_causal_mask = _stated_causal
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        nn.modules.transformer._detect_is_causal_mask = detect
        torch.backends.mha.set_fastpath_enabled(fastpath)
        for logger, level in loggers.items():
            logger.setLevel(level)


@contextmanager
def _without_argument_checks() -> Iterator[None]:
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@contextmanager
def _len_stays_free() -> Iterator[None]:
    """Make ``len(tensor)`` give the tracer's symbol, which Python's own ``len`` turns into a number."""
    built_in = builtins.len
    trace_rules.is_builtin_callable(built_in)  # makes PyTorch list the built-in functions before the patch

    def length(thing: Any) -> Any:
        return thing.shape[0] if isinstance(thing, Tensor) and thing.ndim else built_in(thing)

    builtins.len = length
    try:
        yield
    finally:
        builtins.len = built_in


def _stated_causal(mask: Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:
    """Treat a mask as causal only if the network says so.

    PyTorch's own function reads the values of the mask to choose a faster kernel, which a trace can't
    follow. The mask itself is applied either way.
    """
    del mask, size
    return bool(is_causal)


def _fixed(message: str, axes: Sequence[Mapping[int, str]]) -> str | None:
    """Name the free size that the tracer found to be constant, and the constant; None if it found none."""
    found = re.search(r"\[(\d+)\]\.size\(\)\[(\d+)\] as dynamic but .* a constant \((\d+)\)", message)
    if found is None:
        return None
    number, axis, size = map(int, found.groups())
    return f"{axes[number][axis]} to {size}"


def _remedy(fixed: str) -> str:
    if fixed.startswith(f"{ROWS} "):
        return (
            "a request may have any number of rows, so keep it free: use x.shape[0], without int() or a loop"
        )
    return (
        "leave it out of the free sizes, or compute without what fixes it, such as a loop over it, == or "
        "math.sqrt (** 0.5 keeps it free)"
    )


def _user_line(error: Exception) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and "/torch/" not in frame.filename
        and Path(frame.filename).parent != Path(__file__).parent
    ]
    if not frames:
        return "in code that has no file"
    return f'File "{frames[-1].filename}", line {frames[-1].lineno}: {frames[-1].line}'


def _reason(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
