"""The command ``caveat export``: from a network of the user's own to a bundle in a store."""

import importlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg
from torch import Tensor, nn

from caveat.models.bundles.bundle import pack
from caveat.models.bundles.manifest import Name
from caveat.models.bundles.store import add
from caveat.models.command import Command
from caveat.models.predictor import Predictor
from caveat.training.calibration.calibrate import calibrate
from caveat.training.card.card import with_card
from caveat.training.export.errors import ExportError
from caveat.training.export.export import export
from caveat.training.export.served import Outputs
from caveat.training.held_out import read_held_out
from caveat.training.metrics import held_out_metrics
from caveat.training.report import report

_SAMPLES = 100
_SEED = 0


class Export(Command):
    """Export a network of your own, with dropout in it, as a bundle.

    The network is checked against its graphs as it is exported, and refused with the reason if it
    can't be served. Weights are read without running any code of theirs.
    """

    factory: CliPositionalArg[str] = Field(
        description="module:name of what makes the network, such as package.module:factory; it is called "
        "without arguments unless it is a network already"
    )
    example: Path = Field(
        description="rows that the network takes: .npy, or .npz with one array for each parameter of forward"
    )
    task: Literal["classification", "regression"] = Field(description="what the network is for")
    outputs: Outputs = Field(
        description="what it answers with: logits or probabilities (rows, classes), a mean (rows), or a mean "
        "and the logarithm of a variance (rows, 2); of several targets (rows, targets) or (rows, targets, 2)"
    )
    name: Name = Field(description="what to call the model")
    weights: Path | None = Field(
        None, description="state of the network: .pt or .pth (loaded with weights_only), or .safetensors"
    )
    output: str | None = Field(
        None, description="which output to serve, by name or number, of a network that has several"
    )
    preprocess: str | None = Field(
        None, description="module:name of a torch module that runs on the inputs first, inside the graphs"
    )
    free: tuple[str, ...] = Field(
        (), description="sizes that each request chooses, such as x.1=length, or x.2=height,x.3=width"
    )
    sites: tuple[str, ...] = Field(
        ("*",), description="patterns of the sites that stay random, such as 'encoder.*', or last"
    )
    rate: tuple[str, ...] = Field((), description="dropout rates to change, such as head.drop=0.2")
    insert: tuple[str, ...] = Field(
        (), description="dropouts to add after an operator or module, such as relu:0.1"
    )
    classes: tuple[str, ...] | None = Field(
        None, description="names of the classes, in the order of the outputs"
    )
    target: str | None = Field(None, description="what a regression predicts, with its unit")
    targets: tuple[str, ...] | None = Field(
        None, description="the same of a regression of several, in the order of the outputs"
    )
    calibration: Path | None = Field(
        None,
        description="held-out rows to calibrate on and to measure, as for caveat calibrate",
    )
    description: str = Field("", description="a sentence on the model, for those who ask it")
    out: Path = Field(Path("store"), description="store to write the bundle into")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.task == "classification") != (self.outputs in ("logits", "probabilities")):
            raise ValueError(f"--outputs {self.outputs} is not what a {self.task} answers with")
        return self

    def cli_cmd(self) -> None:
        """Load, export, measure, write, and say what came of it."""
        bundle = export(
            self._network(),
            _arrays(self.example),
            task=self.task,
            outputs=self.outputs,
            name=self.name,
            output=int(self.output) if self.output and self.output.isdigit() else self.output,
            preprocess=_module(self.preprocess, "--preprocess") if self.preprocess else None,
            free=_free(self.free),
            sites=self.sites,
            rates=_rates(self.rate, "=", "--rate head.drop=0.2"),
            insert=_rates(self.insert, ":", "--insert relu:0.1"),
            classes=self.classes,
            target=self.target,
            targets=self.targets,
            description=self.description,
        )
        if self.calibration is not None:
            inputs, y = read_held_out(self.calibration, bundle.manifest)
            bundle = calibrate(bundle, inputs, y)
            metrics = held_out_metrics(Predictor(bundle), inputs, y, _SAMPLES, _SEED)
            bundle = pack(bundle.manifest.model_copy(update={"metrics": metrics}), bundle.files)
            bundle = with_card(bundle, inputs, y, _SAMPLES, _SEED)
        folder = add(self.out, bundle)
        print(report(folder, bundle))
        for site in bundle.manifest.sites:
            if not site.trained:
                print(
                    f"caveat export: the network was not trained with {site.name} at rate {site.rate:g}; "
                    "its uncertainty may mean little. Check it on held-out rows",
                    file=sys.stderr,
                )

    def _network(self) -> nn.Module:
        network = _module(self.factory, "FACTORY")
        if self.weights is not None:
            _load(network, self.weights)
        return network


def _module(place: str, option: str) -> nn.Module:
    """Import what ``package.module:name`` names, and call it if it is not a network yet."""
    path, _, attribute = place.partition(":")
    if not path or not attribute:
        raise ExportError(f"{option}: {place!r} should be module:name, such as package.module:factory")
    sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        made = getattr(importlib.import_module(path), attribute)
    except ModuleNotFoundError as error:
        raise ExportError(f"{option}: {error}; looked from {os.getcwd()} and in what is installed") from None
    except AttributeError:
        raise ExportError(f"{option}: {path} has no {attribute!r}") from None
    finally:
        sys.path.pop(0)
    try:
        network = made if isinstance(made, nn.Module) else made()
    except Exception as error:  # whatever the user's code raises
        raise ExportError(
            f"{option}: {place} failed: {error}; it is called without arguments, so name a function that "
            "needs none"
        ) from error
    if not isinstance(network, nn.Module):
        raise ExportError(f"{option}: {place} made a {type(network).__name__}; expected a torch.nn.Module")
    return network


def _load(network: nn.Module, path: Path) -> None:
    """Load weights into a network; a mismatch is told by name and shape."""
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


def _arrays(path: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ExportError(f"{path}: {error}; expected .npy or .npz") from None
    return loaded if isinstance(loaded, np.ndarray) else dict(loaded)


def _free(options: tuple[str, ...]) -> dict[str, dict[int, str]]:
    """Read ``x.1=length``."""
    free: dict[str, dict[int, str]] = {}
    for option in options:
        place, _, size = option.partition("=")
        name, _, axis = place.rpartition(".")
        if not (name and axis.isdigit() and int(axis) > 0 and size):
            raise ExportError(f"--free {option}: expected input.axis=name, such as x.1=length")
        free.setdefault(name, {})[int(axis)] = size
    return free


def _rates(options: tuple[str, ...], mark: str, example: str) -> dict[str, float]:
    rates = {}
    for option in options:
        name, _, rate = option.rpartition(mark)
        try:
            rates[name] = float(rate)
        except ValueError:
            raise ExportError(f"{option!r}: expected a name and a rate, such as {example}") from None
    return rates
