"""What modules learn as they run in training mode, held still while passes are made.

Batch norm and instance norm keep running statistics, spectral norm iterates towards the largest singular
value, and a moving average follows the rows: in training mode a run changes them, and the next run answers
otherwise. A pass depends on its row and its draws alone, so these modules run as in eval mode.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm

from caveat.training.export import generators, reference
from caveat.training.export.reference import Drawn


class _Fixed(nn.Module):
    """A parametrized weight, computed ahead."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self) -> Tensor:
        value: Tensor = self.value  # type: ignore[assignment]
        return value


def fix_parametrizations(module: nn.Module) -> None:
    """Compute parametrized weights ahead, as in eval mode, except those that are drawn."""
    for part in [part for part in module.modules() if is_parametrized(part)]:
        parametrizations = part.parametrizations
        assert isinstance(parametrizations, nn.ModuleDict)
        for name, weight in parametrizations.items():
            if isinstance(weight, ParametrizationList) and not _draws(weight):
                with torch.no_grad():
                    parametrizations[name] = _Fixed(weight.eval()().detach().clone())


def _draws(weight: ParametrizationList) -> bool:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        copy.deepcopy(weight).train()()
        return not torch.equal(torch.get_rng_state(), before)


def hold_still(module: nn.Module) -> None:
    """Hold the modules of PyTorch that learn as they run."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase):
            part.eval()
        for hook in part._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                hook.n_power_iterations = 0


def hold_learning(module: nn.Module, copied: nn.Module, rows: Sequence[Tensor]) -> None:
    """Hold every module that changes its own buffers as it runs, unless that would switch draws off.

    Parameters
    ----------
    module
        The network in training mode.
    copied
        A copy of it, to try on.
    rows
        Example inputs.
    """
    before = {name: buffer.clone() for name, buffer in copied.named_buffers()}
    draws = _drawn(copied, rows)
    changed = [
        name
        for name, buffer in copied.named_buffers()
        if name not in before or not torch.equal(buffer, before[name])
    ]
    for path in dict.fromkeys(name.rpartition(".")[0] for name in changed):
        part, tried = module.get_submodule(path), copied.get_submodule(path)
        tried.training = False
        part.training = tried.training = _drawn(copied, rows) != draws


def _drawn(module: nn.Module, rows: Sequence[Tensor]) -> tuple[list[Drawn], bool]:
    before = generators.states()
    drawn = reference.drawn(module, rows)
    return drawn, generators.states() != before
