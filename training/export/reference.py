"""PyTorch's own randomness with draws that come from outside: what an exported graph must equal.

Handing the draws in where PyTorch would make them leaves all the rest - scaling, broadcasting, order -
to PyTorch, so that the reference shares nothing with the exported graph but the draws.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from caveat.training.export.errors import ExportError

aten = torch.ops.aten


def _fill(x: Tensor, draw: Tensor) -> Tensor:
    return x.copy_(draw.expand_as(x))


def _sized(draw: Tensor, size: Sequence[int]) -> Tensor:
    return draw.expand(*size).clone()


# What PyTorch makes of a draw, per operator that draws. Every dropout comes down to bernoulli_.
_DRAWING: dict[Any, Callable[..., Tensor]] = {
    aten.bernoulli_.float: lambda draw, x, *_, **__: _fill(x, draw),
    aten.bernoulli_.Tensor: lambda draw, x, p, **_: _fill(x, (draw < p).to(x.dtype)),
    aten.bernoulli.p: lambda draw, x, *_, **__: _fill(torch.empty_like(x), draw),
    aten.bernoulli.default: lambda draw, p, **_: (draw.expand_as(p) < p).to(p.dtype),
    aten.rand_like.default: lambda draw, x, **_: _fill(torch.empty_like(x), draw),
    aten.randn_like.default: lambda draw, x, **_: _fill(torch.empty_like(x), draw),
    aten.rand.default: lambda draw, size, **_: _sized(draw, size),
    aten.randn.default: lambda draw, size, **_: _sized(draw, size),
    aten.uniform_.default: lambda draw, x, low=0.0, high=1.0, **_: _fill(x, draw * (high - low) + low),
    aten.normal_.default: lambda draw, x, mean=0.0, std=1.0, **_: _fill(x, draw * std + mean),
    aten.normal.float_float: lambda draw, mean, std, size, **_: _sized(draw * std + mean, size),
    aten.normal.Tensor_float: lambda draw, mean, std=1.0, **_: draw.expand_as(mean) * std + mean,
    aten.normal.Tensor_Tensor: lambda draw, mean, std, **_: draw.expand_as(mean) * std + mean,
    aten.normal.float_Tensor: lambda draw, mean, std, **_: draw.expand_as(std) * std + mean,
}


class HandedDraws(TorchDispatchMode):
    """Answers each random draw with the next of the given ones."""

    def __init__(self, draws: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._draws: Iterator[Tensor] = iter(draws)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Hand in a draw where PyTorch would make one; run everything else as it is."""
        if func in _DRAWING:
            draw = next(self._draws, None)
            if draw is None:
                raise ExportError("the network draws more often than its captured graph")
            return _DRAWING[func](draw, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class RunningStatistics(TorchFunctionMode):
    """Keeps batch norms on their running statistics, whatever mode their module is in."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a function; a batch norm with running statistics as in eval mode."""
        kwargs = kwargs or {}
        if func is F.batch_norm and args[1] is not None:
            kwargs["training"] = False
        if func is torch.batch_norm and args[3] is not None:
            args = (*args[:5], False, *args[6:])
        return func(*args, **kwargs)


def sample(module: nn.Module, inputs: Sequence[Tensor], samples: int, at_once: int = 1) -> Tensor:
    """Run the network on one row ``samples`` times with its own draws; give (samples, ...).

    Parameters
    ----------
    inputs
        One row.
    at_once
        How many samples to make in one run, as so many rows that are equal; more than 1 only where
        every row has draws of its own.
    """
    runs = -(-samples // at_once)
    rows = [tensor.expand(at_once, *tensor.shape[1:]).contiguous() for tensor in inputs]
    with torch.no_grad(), RunningStatistics():
        return torch.cat([module(*rows) for _ in range(runs)])[:samples]


def passes(module: nn.Module, inputs: Sequence[Tensor], draws: Sequence[Tensor]) -> Tensor:
    """Run the network once per pass in a loop, drawing what is given.

    Parameters
    ----------
    module
        The network in training mode.
    inputs
        B rows.
    draws
        For each site, in the order in which the network runs them, its raw draws (N, ...): 0 or 1 for
        a Bernoulli draw, the number itself for others; 1 where the rows lie.

    Returns
    -------
    Tensor
        Shape (N, B, ...).
    """
    outputs = []
    for one in zip(*draws, strict=True):
        with torch.no_grad(), RunningStatistics(), HandedDraws(one):
            outputs.append(module(*inputs))
    return torch.stack(outputs)
