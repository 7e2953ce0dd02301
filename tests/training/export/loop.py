"""PyTorch in a loop over passes, with given draws: the independent side of the comparison."""

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
    """A mode that records the shape of every draw of PyTorch."""

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


def per_row(values: Tensor, shape: torch.Size, alternating: bool) -> Tensor:
    """Repeat a draw (N, ...) for one row to the shape of PyTorch's draw for all rows."""
    values = values.reshape(len(values), *[1] * (len(shape) + 1 - values.ndim), *values.shape[1:])
    for axis, size in enumerate(shape, start=1):
        have = values.shape[axis]
        if have not in (1, size):
            rows = size // have
            one = [1] * values.ndim
            one[axis] = rows
            values = values.repeat_interleave(rows, axis) if alternating else values.repeat(one)
    return values


def loop(
    module: nn.Module,
    bundle: Bundle,
    inputs: Mapping[str, Tensor],
    samples: int,
    seed: int,
    alternating: bool,
) -> Tensor:
    """Run ``samples`` passes of a network on rows, with the draws that a bundle makes from a seed."""
    module = in_training_mode(module)
    chosen = sizes(bundle.manifest.inputs, {name: tensor.numpy() for name, tensor in inputs.items()})
    shapes = drawn_shapes(module, list(inputs.values()))
    draws = []
    for site, shape in zip(bundle.manifest.sites, shapes, strict=True):
        values = torch.from_numpy(draw(site, seed, 0, samples, chosen))
        draws.append(per_row(values.float(), shape, alternating))
    return reference.passes(module, list(inputs.values()), draws)
