"""The places of a checkpoint that may hold the weights of a network."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""What `torch.compile` and others put into the names of parameters."""

Value = TypeVar("Value")

_EXTRA = "_extra_state"  # what a module keeps beside tensors, in PyTorch's name


@dataclass(frozen=True)
class Entry:
    """A value of a checkpoint, with the name of the mapping that holds it."""

    value: Any
    holder: str


Entries = Mapping[str, Entry]
"""The values of a checkpoint by dotted names."""


def flattened(read: Mapping[Any, Any], holder: str = "") -> dict[str, Entry]:
    """Flatten nested mappings into one; leave out what is neither a tensor nor the state of a module."""
    entries: dict[str, Entry] = {}
    for key, value in read.items():
        name = _plain(f"{holder}{key}")
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.as_tensor(value)
        if isinstance(value, Tensor) or name.endswith(_EXTRA):
            entries[name] = Entry(value, holder)
        elif isinstance(value, Mapping):
            entries |= flattened(value, f"{name}.")
    return entries


@dataclass(frozen=True)
class Place:
    """A place in a checkpoint, with some of a network's weights.

    Parameters
    ----------
    network, entries
        The network, and the checkpoint.
    prefix
        What stands before the network's names in the checkpoint.
    own
        Name in the network of each weight, by its name behind the prefix.
    """

    network: nn.Module
    entries: Entries
    prefix: str
    own: Mapping[str, str]

    @property
    def label(self) -> str:
        """The place in words; empty for the file itself."""
        return self.prefix.removesuffix(".")

    def faults(self) -> list[str]:
        """List the weights that are missing, left over, or of another shape."""
        state, ties = self.network.state_dict(), _ties(self.network)
        faults, holders = [], set()
        for name, own in self.own.items():
            entry = self.entries.get(self.prefix + name)
            if entry is None:
                if not own.endswith(_EXTRA) and not any(self._has(tied) for tied in ties.get(own, ())):
                    faults.append(f"{name} is missing")
                continue
            holders.add(entry.holder)
            if own.endswith(_EXTRA) or is_lazy(state[own]):
                continue
            shape, expected = tuple(entry.value.shape), tuple(state[own].shape)
            if shape != expected:
                faults.append(f"{name} has shape {shape}, the network's has {expected}")
        rest = [
            full.removeprefix(self.prefix)
            for full, entry in self.entries.items()
            if full.startswith(self.prefix) and entry.holder in holders
        ]
        return faults + [f"{name} is not in the network" for name in rest if name not in self.own]

    def _has(self, own: str) -> bool:
        return any(name == own and self.prefix + given in self.entries for given, name in self.own.items())

    def state(self) -> dict[str, Any]:
        """Give the weights by the network's names; a weight that others are tied to stands for them."""
        state = {
            own: self.entries[self.prefix + name].value
            for name, own in self.own.items()
            if self.prefix + name in self.entries
        }
        for own, tied in _ties(self.network).items():
            given = [name for name in tied if name in state]
            if own not in state and given:
                state[own] = state[given[0]]
        absent = {own: value for own, value in self.network.state_dict().items() if own not in state}
        return state | {own: value for own, value in absent.items() if own.endswith(_EXTRA)}

    def loads(self) -> bool:
        """Tell whether the network takes the weights under other names than its own, and load them then.

        A batch norm or a weight norm reads the names that older versions of PyTorch gave.
        """
        lead = next(_plain(own).removesuffix(name) for name, own in self.own.items())
        under = {
            lead + full.removeprefix(self.prefix): entry.value
            for full, entry in self.entries.items()
            if full.startswith(self.prefix)
        }
        try:
            self.network.load_state_dict(under)
        except RuntimeError:
            return False
        return True


def places(network: nn.Module, entries: Entries) -> list[Place]:
    """Find where a checkpoint has names of a network, the place with most of them first.

    The network's own names may have a prefix too, as of a module around the one that was saved; it is left
    out where that lets all weights fit.
    """
    own = {_plain(name): name for name in network.state_dict()}
    found = nearest = _at_prefixes(network, entries, own)
    if all(place.faults() for place in found) and any(".module." in name for name in {*entries, *own}):
        inner = _without_parallel(entries), _without_parallel(own)
        if len(inner[0]) == len(entries) and len(inner[1]) == len(own):
            parallel = _at_prefixes(network, *inner)
            nearest = parallel if any(not place.faults() for place in parallel) else nearest
    while all(place.faults() for place in nearest):
        if len({name.partition(".")[0] for name in own}) != 1 or not all("." in name for name in own):
            return found
        own = {name.partition(".")[2]: full for name, full in own.items()}
        nearest = _at_prefixes(network, entries, own)
        found = found or nearest
    return nearest


def _at_prefixes(network: nn.Module, entries: Entries, own: Mapping[str, str]) -> list[Place]:
    """Find the places where names of a checkpoint end in the network's names."""
    found: Counter[str] = Counter()
    for name in entries:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in own:
                found[".".join([*parts[:start], ""])] += 1
    return [Place(network, entries, prefix, own) for prefix, _ in found.most_common()]


def equal(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Tell whether two states hold the same tensors."""
    return all(torch.equal(value, others[name]) for name, value in some.items() if isinstance(value, Tensor))


def _without_parallel(named: Mapping[str, Value]) -> dict[str, Value]:
    """Leave out what DataParallel puts into the names of a part of a network, as in ``features.module.0``."""
    return {name.replace(".module.", "."): value for name, value in named.items()}


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _ties(network: nn.Module) -> dict[str, list[str]]:
    """List the other names of each weight that has several, such as an embedding used as the last layer."""
    by_memory: dict[Any, list[str]] = {}
    for name, value in network.state_dict().items():
        if isinstance(value, Tensor) and not is_lazy(value) and value.numel() and value.data_ptr():
            memory = (value.data_ptr(), value.shape, value.stride(), value.dtype)
            by_memory.setdefault(memory, []).append(name)
    return {
        name: [other for other in names if other != name] for names in by_memory.values() for name in names
    }
