"""The command ``caveat export``: from a network of the user's own to a bundle in a store."""

import sys
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from caveat.commands.command import READING, Command, say
from caveat.extras import needing
from caveat.models.bundles import store
from caveat.models.bundles.manifest import Name
from caveat.models.errors import CaveatError
from caveat.models.tasks import tasks
from caveat.training.data.options import HeldOutOptions
from caveat.training.vocabulary import ExampleRows, Outputs, Task

LAYOUT = {
    "network": {
        "factory": "FACTORY",
        "weights": "FILE",
        "weights_key": "KEY",
        "example": "FILE",
        "example_rows": None,
        "output": "OUTPUT",
        "preprocess": "MODULE:NAME",
        "free": "SIZES",
    },
    "answers": {
        "task": None,
        "outputs": None,
        "classes": "NAMES",
        "target": "NAME",
        "targets": "NAMES",
    },
    "dropout": {"sites": "PATTERNS", "rate": "SITE=RATE", "insert": "OPERATOR:RATE"},
    "bundle": {"name": "NAME", "description": "TEXT", "calibration": "FILE", "out": "STORE"},
    "reading of the file": READING,
}


class Export(HeldOutOptions, Command):
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
    task: Task = Field(description="what the network is for")
    outputs: Outputs = Field(
        description="what it answers with: " + ", ".join(task.kinds_in_words for task in tasks.every())
    )
    name: Name = Field(description="what to call the model")
    weights: Path | None = Field(
        None,
        description="state of the network, or a checkpoint that holds it: of torch.save (loaded with "
        "weights_only) or of safetensors",
    )
    weights_key: str | None = Field(
        None,
        description="where a checkpoint holds the weights to take, such as model_ema, if in several places",
    )
    example_rows: ExampleRows = Field(
        "made-up",
        description="the example in the bundle: rows made up like those of --example, or keep its first rows",
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
        if self.outputs not in tasks.named(self.task).kinds:
            raise ValueError(f"--outputs {self.outputs} is not what a {self.task} answers with")
        return self

    def cli_cmd(self) -> None:
        """Load, export, measure, write, and say what came of it."""
        store.prepare(self.out)
        with needing("training"):
            from caveat.training.checkpoint import load_weights
            from caveat.training.export.export import export
            from caveat.training.progress import Bar
            from caveat.training.report import report
            from caveat.training.user_code import user_network

            if self.calibration is not None:
                from caveat.training.held_out import read_held_out
                from caveat.training.measured import measured

        network = user_network(self.factory, "FACTORY")
        if self.weights is not None:
            place = load_weights(network, self.weights, self.weights_key)
            if place:
                print(
                    f"caveat export: the weights are those of {self.weights} under {place}", file=sys.stderr
                )
        with Bar() as bar:
            bundle = export(
                network,
                _arrays(self.example),
                task=self.task,
                outputs=self.outputs,
                name=self.name,
                output=int(self.output) if self.output and self.output.isdigit() else self.output,
                preprocess=user_network(self.preprocess, "--preprocess") if self.preprocess else None,
                free=_free(self.free),
                sites=self.sites,
                rates=_rates(self.rate, "=", "--rate head.drop=0.2"),
                insert=_rates(self.insert, ":", "--insert relu:0.1"),
                classes=self.classes,
                target=self.target,
                targets=self.targets,
                description=self.description,
                example_rows=self.example_rows,
                progress=bar,
            )
        if self.calibration is not None:
            inputs, y, notes = read_held_out(self.calibration, bundle.manifest, self)
            say(notes)
            bundle = measured(bundle, inputs, y, samples=100, seed=0)
        print(report(store.add(self.out, bundle), bundle))
        for site in bundle.manifest.sites:
            if not site.trained:
                print(
                    f"caveat export: the network was not trained with {site.name} at rate {site.rate:g}; "
                    "its uncertainty may mean little. Check it on held-out rows",
                    file=sys.stderr,
                )


def _arrays(path: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CaveatError(f"{path}: {error}; expected .npy or .npz") from None
    return loaded if isinstance(loaded, np.ndarray) else dict(loaded)


def _free(options: tuple[str, ...]) -> dict[str, dict[int, str]]:
    """Read ``x.1=length``."""
    free: dict[str, dict[int, str]] = {}
    for option in options:
        place, _, size = option.partition("=")
        name, _, axis = place.rpartition(".")
        if not (name and axis.isdigit() and int(axis) > 0 and size):
            raise CaveatError(f"--free {option}: expected input.axis=name, such as x.1=length")
        free.setdefault(name, {})[int(axis)] = size
    return free


def _rates(options: tuple[str, ...], mark: str, example: str) -> dict[str, float]:
    rates = {}
    for option in options:
        name, _, rate = option.rpartition(mark)
        try:
            rates[name] = float(rate)
        except ValueError:
            raise CaveatError(f"{option!r}: expected a name and a rate, such as {example}") from None
    return rates
