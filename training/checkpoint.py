"""Weights of the user's own, as files."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from caveat.training.errors import ExportError


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network, without running any code of theirs.

    Parameters
    ----------
    path
        ``.pt`` or ``.pth``, loaded with ``weights_only``, or ``.safetensors``.

    Raises
    ------
    ExportError
        If the file can't be read, or its weights are not the network's; a mismatch is told by name and shape.
    """
    if not path.is_file():
        raise ExportError(f"--weights {path}: no such file")
    state = _unwrapped(_state(path))
    try:
        network.load_state_dict(state)
        return
    except RuntimeError:  # told below, by name and shape
        pass
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    faults = [f"{name} is missing" for name in own.keys() - given.keys()]
    faults += [f"{name} is not in the network" for name in given.keys() - own.keys()]
    faults += [
        f"{name} has shape {given[name]}, the network's has {own[name]}"
        for name in own.keys() & given.keys()
        if own[name] != given[name]
    ]
    if faults:
        more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ExportError(
            f"--weights {path} are not of this network: {'; '.join(sorted(faults)[:3])}{more}. "
            "Does the factory make the network with the sizes that it was trained with?"
        )


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop what DataParallel, DistributedDataParallel and torch.compile put before every name."""
    for wrapper in ("module.", "_orig_mod."):
        if all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def _state(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = re.sub(r"\x1b\[\d*m", "", str(error)).partition(".")[0].splitlines()[0]
        raise ExportError(
            f"--weights {path}: {first}. Save the weights alone: torch.save(network.state_dict(), ...)"
        ) from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ExportError(f"--weights {path}: expected tensors by name, as of network.state_dict()")
    return dict(state)
