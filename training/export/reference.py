"""The reference for an exported graph: PyTorch's own network, with draws that come from outside.

Only PyTorch's random draws are replaced. Scaling, broadcasting and order are PyTorch's own, so that the
reference shares nothing with the exported graph but the draws.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from caveat.training.errors import ExportError

aten = torch.ops.aten


def _fill(x: Tensor, draw: Tensor) -> Tensor:
    return x.copy_(draw.expand_as(x))


def _sized(draw: Tensor, size: Sequence[int]) -> Tensor:
    return draw.expand(*size).clone()


# PyTorch's result for a given draw, for each operator that draws. Every dropout calls bernoulli_.
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
    aten.normal.Tensor_Tensor: lambda draw, mean, std, **_: draw.expand_as(mean + std) * std + mean,
    aten.normal.float_Tensor: lambda draw, mean, std, **_: draw.expand_as(std) * std + mean,
}


# The chance of a 1 in each Bernoulli draw, from the operator's arguments.
_CHANCES: dict[Any, Callable[..., float]] = {
    aten.bernoulli_.float: lambda _x, p=0.5, **_: float(p),
    aten.bernoulli.p: lambda _x, p=0.5, **_: float(p),
}

_NORMAL = {
    aten.randn.default,
    aten.randn_like.default,
    aten.normal_.default,
    aten.normal.float_float,
    aten.normal.Tensor_float,
    aten.normal.Tensor_Tensor,
    aten.normal.float_Tensor,
}


@dataclass(frozen=True)
class Drawn:
    """What PyTorch draws in one call: the law, the chance of a 1 in a Bernoulli draw, and the shape."""

    law: Literal["bernoulli", "uniform", "normal"]
    chance: float | None
    shape: tuple[int, ...]


class _Recording(TorchDispatchMode):
    """A mode that notes every random draw, and makes it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.drawn: list[Drawn] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        value = func(*args, **(kwargs or {}))
        if func in _CHANCES:
            chance = _CHANCES[func](*args, **(kwargs or {}))
            self.drawn.append(Drawn("bernoulli", chance, tuple(value.shape)))
        elif func in _DRAWING:
            law: Literal["normal", "uniform"] = "normal" if func in _NORMAL else "uniform"
            self.drawn.append(Drawn(law, None, tuple(value.shape)))
        return value


def drawn(module: nn.Module, inputs: Sequence[Tensor]) -> list[Drawn]:
    """Run the network once, and list what it draws, in the order of the run."""
    recording = _Recording()
    with torch.random.fork_rng(devices=[]), torch.no_grad(), RunningStatistics(), recording:
        module(*inputs)
    return recording.drawn


class GivenDraws(TorchDispatchMode):
    """A mode in which each random draw is the next of the given draws."""

    def __init__(self, draws: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._draws: Iterator[Tensor] = iter(draws)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace a random draw by the next given one; run everything else unchanged."""
        if func in _DRAWING:
            draw = next(self._draws, None)
            if draw is None:
                raise ExportError("the network draws more often than its captured graph")
            try:
                return _DRAWING[func](draw, *args, **(kwargs or {}))
            except RuntimeError as error:  # of shapes that do not fit
                raise ExportError(
                    f"the network draws in another shape than its captured graph, {tuple(draw.shape)}, for "
                    "another number of rows or another size: it takes another branch there. Do the same for "
                    "every number of rows and every size"
                ) from error
        return func(*args, **(kwargs or {}))


class RunningStatistics(TorchFunctionMode):
    """A mode in which batch norms use their running statistics, also in training mode."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a batch norm that has running statistics as in eval mode; run everything else unchanged."""
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
    module
        The network in training mode.
    inputs
        One row.
    samples
        Number of runs over the row.
    at_once
        Number of samples in one run, as equal rows; more than 1 only if every row has its own draws.
    """
    runs = -(-samples // at_once)
    rows = [tensor.expand(at_once, *tensor.shape[1:]).contiguous() for tensor in inputs]
    with torch.no_grad(), RunningStatistics():
        return torch.cat([module(*rows) for _ in range(runs)])[:samples]


def passes(module: nn.Module, inputs: Sequence[Tensor], draws: Sequence[Tensor]) -> Tensor:
    """Run the network once per pass in a loop, with given draws.

    Parameters
    ----------
    module
        The network in training mode.
    inputs
        B rows.
    draws
        Raw draws (N, ...) of each site, in the order of the run: 0 or 1 for a Bernoulli draw, the number
        itself for other laws. The row axis may have size 1.

    Returns
    -------
    Tensor
        Shape (N, B, ...).
    """
    outputs = []
    before = torch.get_rng_state()
    for one in zip(*draws, strict=True):
        with torch.no_grad(), RunningStatistics(), GivenDraws(one):
            outputs.append(module(*inputs))
    if not torch.equal(torch.get_rng_state(), before):  # all draws were given, so none may be left to make
        raise ExportError("the network draws more than its captured graph; draw with dropout or torch.rand")
    return torch.stack(outputs)
