"""Checks that a network answers equal rows and draws alike in every run."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from caveat.training.errors import ExportError
from caveat.training.export import generators
from caveat.training.export.reference import RunningStatistics
from caveat.training.export.sites import NETWORK

# Of a draw that changes the answer in half of the runs, 1 in 32 attempts sees none. Then the comparison with
# the graphs refuses the network, which runs it at least 5 times more.
_REPEATS = 6
_ROWS_REPEATED = 2


def answers_alike_in_every_run(evaluated: nn.Module, rows: Sequence[Tensor]) -> None:
    """Refuse a network that, in eval mode, draws with another generator than PyTorch's, or changes itself.

    What draws with PyTorch is found in the graph.
    """
    found = _difference(evaluated, rows, 2)
    if found is None:
        return
    where, changed = found
    if changed and not where:
        raise ExportError(
            f"the network changes its own {changed} as it runs, in eval mode too: an answer would depend on "
            "the requests before. Change it in training mode alone, with `if self.training`"
        )
    raise ExportError(
        f"the network draws at random in eval mode too, {_elsewhere(where)}: under one seed of PyTorch its "
        "answers differ. Guard the draw with `if self.training`"
    )


def draws_with_torch_alone(sampled: nn.Module, rows: Sequence[Tensor]) -> None:
    """Refuse a network that draws with another generator than PyTorch's, or changes from run to run."""
    found = _difference(sampled, rows, _REPEATS)
    if found is None:
        return
    where, changed = found
    if changed and not where:
        raise ExportError(
            f"the network changes its own {changed} as it runs in training mode, and answers otherwise in "
            "the next run. A pass may depend on its row and its draws alone: keep it as it is, or make it a "
            "buffer of a module that draws nothing, which the export runs in eval mode"
        )
    raise ExportError(
        f"the network draws at random {_elsewhere(where)}: under one seed of PyTorch its answers differ. "
        "Draw with torch.rand, torch.randn or torch.bernoulli, or switch the draw off, as with "
        "apply_spec_augment=False or layerdrop=0"
    )


def _difference(module: nn.Module, rows: Sequence[Tensor], repeats: int) -> tuple[str, str] | None:
    """Run a network several times under one seed; if answers differ, look for a foreign draw and a change.

    Returns
    -------
    where
        The line of a draw with a generator that is not PyTorch's, or empty.
    changed
        The name of a value of the network that a run changes, or empty. None in place of both if all
        answers are equal.
    """
    few = [tensor[:_ROWS_REPEATED] for tensor in rows]

    def run() -> Tensor:
        torch.manual_seed(0)
        answer: Tensor = module(*(tensor.clone() for tensor in few))  # it may write into its inputs
        return answer.nan_to_num()  # NaN is unequal to itself

    with torch.random.fork_rng(devices=[]), torch.no_grad(), RunningStatistics():
        answers = [run() for _ in range(repeats)]
        if all(torch.equal(answer, answers[0]) for answer in answers):
            return None
        where = generators.find_draw(run)
        before = _state(module)
        run()
        changed = [name for name, value in _state(module).items() if not _equal(value, before.get(name))]
    return where, next(iter(changed), "")


def _elsewhere(where: str) -> str:
    generator = "with something other than PyTorch, such as Python's random or numpy.random"
    return f"{generator}, in {where}" if where else generator


def _state(module: nn.Module) -> dict[str, Any]:
    """Copy what a module holds: buffers first, then parameters, other tensors and numbers."""
    named = {**dict(module.named_buffers()), **dict(module.named_parameters())}
    state: dict[str, Any] = {name: tensor.clone() for name, tensor in named.items()}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, int | float | Tensor):
                full = f"{path}.{name}".removeprefix(".")
                state[full] = value.clone() if isinstance(value, Tensor) else value
    return {name.removeprefix(NETWORK): value for name, value in state.items()}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return bool(one is other or one == other)
