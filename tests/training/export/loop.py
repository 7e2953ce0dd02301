"""PyTorch in a loop over passes with draws handed in: the independent side of the comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import sizes
from caveat.models.draws.masks import draw
from caveat.training.export import reference
from caveat.training.export.capture import in_training_mode


class Shapes(TorchDispatchMode):
    """Notes the shape of everything that PyTorch draws."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of torch
        self.drawn: list[torch.Size] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        value = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.drawn.append(value.shape)
        return value


def drawn_shapes(module: nn.Module, inputs: Sequence[Tensor]) -> list[torch.Size]:
    shapes = Shapes()
    with torch.no_grad(), reference.RunningStatistics(), shapes:
        module(*inputs)
    return shapes.drawn


def spread(values: Tensor, shape: torch.Size, turns: bool) -> Tensor:
    """Give every row the entries of a draw (N, ...) that stands for one row."""
    values = values.reshape(len(values), *[1] * (len(shape) + 1 - values.ndim), *values.shape[1:])
    for axis, size in enumerate(shape, start=1):
        have = values.shape[axis]
        if have not in (1, size):
            rows = size // have
            one = [1] * values.ndim
            one[axis] = rows
            values = values.repeat_interleave(rows, axis) if turns else values.repeat(one)
    return values


def loop(
    module: nn.Module, bundle: Bundle, inputs: Mapping[str, Tensor], samples: int, seed: int, turns: bool
) -> Tensor:
    """Run ``samples`` passes of a network on rows, with the draws that a bundle makes of a seed."""
    module = in_training_mode(module)
    chosen = sizes(bundle.manifest.inputs, {name: tensor.numpy() for name, tensor in inputs.items()})
    shapes = drawn_shapes(module, list(inputs.values()))
    draws = []
    for site, shape in zip(bundle.manifest.sites, shapes, strict=True):
        values = torch.from_numpy(draw(site, seed, 0, samples, chosen))
        draws.append(spread((values > 0).float() if site.law == "keep" else values, shape, turns))
    return reference.passes(module, list(inputs.values()), draws)
