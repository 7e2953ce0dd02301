"""The command ``caveat train``: from data to a bundle in a store."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import CliPositionalArg

from caveat.commands.command import Command, say
from caveat.extras import needing
from caveat.models.bundles import store
from caveat.training.data.options import TableOptions
from caveat.training.options import Options
from caveat.training.vocabulary import Task

LAYOUT = {
    "data": {"dataset": None, "data": "FILE", "target": "NAMES", "task": None},
    "reading of a table": {
        "drop": "NAMES",
        "features": "NAMES",
        "categorical": "NAMES",
        "numeric": "NAMES",
        "dates": "NAMES",
        "unseen": None,
        "separator": "MARK",
        "decimal": None,
        "encoding": "NAME",
    },
    "network": {
        "network": None,
        "hidden": "SIZES",
        "dropout": "RATES",
        "keep": "PROBABILITIES",
        "noise": None,
    },
    "training": {
        "epochs": "N",
        "batch_size": "N",
        "lr": "STEP",
        "patience": "N",
        "test_size": "PART",
        "seed": "N",
    },
    "regularisers, beside dropout": {
        "l1": "FACTOR",
        "l2": "FACTOR",
        "weight_decay": "PART",
        "max_norm": "NORM",
        "augment": "KINDS",
    },
    "bundle": {"samples": "N", "name": "NAME", "out": "STORE"},
}


class Train(Options, TableOptions, Command):
    """Train a dropout network on a bundled data set or a file, and write it into a store.

    The rows' standardisation and the target's scale become part of the network. A part of the rows is
    held out to test the model on and then to calibrate it, another decides when training stops.
    """

    dataset: CliPositionalArg[Literal["digits", "diabetes"] | None] = Field(
        None, description="digits or diabetes, a bundled data set to train on, unless --data names a file"
    )
    data: Path | None = Field(
        None,
        description="file to train on: .csv, .tsv, .jsonl, .json or .parquet, text also packed as .gz; or "
        ".npz with arrays x and y",
    )
    target: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="column of the file to predict from all others, or several, such as price,rent; not for "
        ".npz, whose y may have several columns",
    )
    task: Task | None = Field(
        None,
        description="what to learn from the file; unless given, a target of text, booleans or at most 20 "
        "different whole numbers is a classification, another a regression",
    )
    out: Path = Field(Path("store"), description="store to write the bundle into")

    @field_validator("dataset", mode="before")
    @classmethod
    def _not_a_file(cls, value: Any) -> Any:
        if isinstance(value, str) and Path(value).suffix:
            raise ValueError(f"{value} looks like a file; a file goes with --data {value}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.dataset is None) == (self.data is None):
            raise ValueError(
                "name a bundled data set (digits or diabetes) or a file with --data, one of the two"
            )
        of_data = ["target", "task", *TableOptions.model_fields]
        given = next((name for name in of_data if getattr(self, name) is not None), None)
        if self.data is None and given is not None:
            raise ValueError(f"--{given} goes with --data; a bundled data set has its own columns")
        if self.rates is not None and not any(self.rates):
            said = "--dropout is 0" if self.keep is None else "--keep is 1"
            raise ValueError(f"{said} everywhere: without dropout there is no uncertainty to tell")
        return self

    def cli_cmd(self) -> None:
        """Train, export, evaluate, write, and say what came of it."""
        # Threads that spin as they wait for each other are many times slower beside other processes.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        with needing("training"):
            from caveat.training.progress import Bar, shown
            from caveat.training.report import report
            from caveat.training.train import train

            if self.data is None:  # scikit-learn holds the data sets, and Polars reads files
                from caveat.training.data.bundled import BUNDLED
            else:
                from caveat.training.data.read import read

        store.prepare(self.out)
        with Bar() as bar:
            with shown(bar, "read the rows"):
                dataset = (
                    read(self.data, self.target, self.task, self)
                    if self.data
                    else BUNDLED[str(self.dataset)]()
                )
            if dataset.report is not None:
                print(f"{dataset.report}\n", flush=True)
            say(dataset.notes)
            bundle = train(dataset, self, bar, partial(print, file=sys.stderr))
        print(report(store.add(self.out, bundle), bundle))
