"""Weights of the user's own, found in a checkpoint and loaded into a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from caveat.training import weights_file
from caveat.training.errors import ExportError
from caveat.training.weights_places import Entries, Place, equal, flattened, places

_SHOWN = 8
"""Most keys of a checkpoint, and most faults, that a message names."""


def load_weights(network: nn.Module, path: Path, key: str | None = None) -> str:
    """Load weights into a network, without running any code of theirs.

    The weights may lie within a checkpoint, under names with a common prefix, such as
    ``{"state_dict": {"model.0.weight": ...}}``. What lies under other names is left out.

    Parameters
    ----------
    network
        The network.
    path
        File of ``torch.save``, loaded with ``weights_only``, or of safetensors.
    key
        Where in the checkpoint the weights are, such as ``state_dict.model``; by default, where all weights
        of the network are found.

    Returns
    -------
    str
        Where in the checkpoint the weights were; empty if they are the file itself.

    Raises
    ------
    ExportError
        If the file can't be read, or its weights are not the network's; a mismatch is told by name and shape.
    """
    read = weights_file.read(path)
    if not isinstance(read, Mapping):
        raise ExportError(
            f"--weights {path} holds a {type(read).__name__}; expected tensors by name. {weights_file.SAVE}"
        )
    entries = flattened(read)
    if not any(isinstance(entry.value, Tensor) for entry in entries.values()):
        raise ExportError(
            f"--weights {path} holds no tensors by name, but {_keys(read)}. {weights_file.SAVE}"
        )
    found = places(network, entries)
    if key is not None:
        found = [place for place in found if place.label == key]
    fitting = [place for place in found if not place.faults()]
    if fitting:
        place = _only(path, fitting)
        network.load_state_dict(place.state())
        return place.label
    if found and found[0].loads():
        return found[0].label
    raise ExportError(_misfit(path, read, entries, found, key))


def _only(path: Path, fitting: Sequence[Place]) -> Place:
    """Choose the place that all of the network's weights were found in; refuse a choice between several."""
    first, *others = fitting
    if all(equal(first.state(), other.state()) for other in others):
        return first
    labels = ", ".join(place.label or "the file itself" for place in fitting)
    raise ExportError(
        f"--weights {path} holds different weights of this network under {labels}; "
        f"say which to take, as with --weights-key {others[-1].label}"
    )


def _misfit(
    path: Path, read: Mapping[Any, Any], entries: Entries, found: Sequence[Place], key: str | None
) -> str:
    holds = f"The file holds {_keys(read)}"
    if not found:
        if key is not None:
            return f"--weights-key {key}: {path} has none of the network's weights under this key. {holds}"
        names = ", ".join(list(entries)[:3])
        return (
            f"--weights {path} are not of this network: it has no weight of these names, such as {names}. "
            f"{holds}"
        )
    faults = sorted(found[0].faults())
    more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
    under = f" under {found[0].label}" if found[0].label else ""
    return (
        f"--weights {path} are not of this network: {'; '.join(faults[:3])}{more}{under}. {holds}. "
        "Does the factory make the network with the sizes that it was trained with?"
    )


def _keys(read: Mapping[Any, Any]) -> str:
    names = [str(name) for name in read]
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "nothing") + more
