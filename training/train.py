"""The command ``caveat train``: from data to a bundle in a store."""

import math
import re
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg
from torch import nn

from caveat import __version__
from caveat.models.bundles.bundle import Bundle, pack
from caveat.models.bundles.manifest import Name, Provenance
from caveat.models.bundles.signature import Input, Inputs
from caveat.models.bundles.store import add, prepare
from caveat.models.command import Command
from caveat.models.predictor import Predictor
from caveat.training.architecture import ARCHITECTURES, Architecture, NetworkName, refuse_misfit
from caveat.training.calibration.calibrate import LEAST_ROWS, calibrate
from caveat.training.calibration.mixture import fit_factor
from caveat.training.calibration.noise import fit_noise
from caveat.training.card.card import with_card
from caveat.training.data.bundled import BUNDLED
from caveat.training.data.dataset import Dataset, Part, Split, Task, split
from caveat.training.data.errors import DataError
from caveat.training.data.read import read
from caveat.training.example import example, typical
from caveat.training.export.export import export
from caveat.training.fit import Recipe, fit, seeded
from caveat.training.metrics import held_out_metrics
from caveat.training.objective import Noise, Objective, UnscaleNormal, classification, regression
from caveat.training.preprocess import preprocess
from caveat.training.report import report

LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "torch")

LR: dict[Task, float] = {"classification": 1e-3, "regression": 5e-3}
PATIENCE: dict[Task, int | None] = {"classification": 40, "regression": None}

Rate = Annotated[float, Field(ge=0, lt=1)]


class Train(Command):
    """Train a dropout network on a bundled data set or a file, and write it into a store.

    The rows' standardisation and the target's scale become part of the network. A part of the rows is
    held out to test the model on and then to calibrate it, another decides when training stops.
    """

    dataset: CliPositionalArg[Literal["digits", "diabetes"] | None] = Field(
        None, description="bundled data set to train on, unless --data names a file"
    )
    data: Path | None = Field(
        None, description="file to train on: .csv, .parquet, or .npz with arrays x and y"
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
    network: NetworkName = Field(
        "mlp",
        description="what to train: mlp takes rows of any shape; cnn images (H, W) or (C, H, W); lstm, gru "
        "and transformer sequences (length, features), and they serve sequences of any length",
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None,
        min_length=1,
        description="size of each hidden layer, such as 512,512: units of mlp, lstm and gru, channels of "
        "cnn, and of transformer the width, equal in all layers; unless given, 128 for mlp (128,128 for a "
        "regression), 32,64 for cnn and 64,64 for the others",
    )
    dropout: tuple[Rate, ...] | None = Field(
        None,
        min_length=1,
        description="one dropout rate for all hidden layers, or one for the input and each of them, such as "
        "0.2,0.5,0.5; cnn drops whole channels, lstm and gru drop a unit at every step or none; unless "
        "given, 0.1 for a regression, and for a classification 0.5 for mlp, 0.2 for cnn, lstm and gru, and "
        "0.1 for transformer",
    )
    noise: Noise | None = Field(
        None,
        description="what a regression takes the target's noise for: constant, or predicted for each row; "
        "unless given, a network is trained for either, and the one is kept under which the validation rows "
        "are more likely",
    )
    epochs: int = Field(200, ge=1, description="times to go over the training rows, at most")
    batch_size: int = Field(32, ge=1, description="rows per step")
    lr: float | None = Field(
        None,
        gt=0,
        description="step size of Adam; unless given, 0.001 for a classification and 0.005 for a regression",
    )
    weight_decay: float = Field(1e-4, ge=0, description="L2 penalty on the weights")
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a lower validation loss after which to stop; unless given, 40 for a "
        "classification, while a regression goes through all epochs, as the step size falls to 0",
    )
    samples: int = Field(100, ge=2, description="passes behind every answer in the evaluation")
    test_size: float = Field(0.2, gt=0, lt=1, description="part of the rows to hold out and test on")
    seed: int = Field(1, ge=0, lt=2**32, description="decides the split, the weights and every batch")
    name: Name | None = Field(None, description="what to call the model; unless given, the name of the data")
    out: Path = Field(Path("store"), description="store to write the bundle into")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.dataset is None) == (self.data is None):
            raise ValueError(
                "name a bundled data set (digits or diabetes) or a file with --data, one of the two"
            )
        if self.data is None and (self.target, self.task) != (None, None):
            raise ValueError("--target and --task go with --data; a bundled data set has its own")
        if self.dropout is not None and not any(self.dropout):
            raise ValueError("--dropout is 0 everywhere: without dropout there is no uncertainty to tell")
        return self

    def cli_cmd(self) -> None:
        """Train, export, evaluate, write, and say what came of it."""
        # Batches are small, and with one thread no sum depends on the number of cores.
        torch.set_num_threads(1)
        prepare(self.out)
        dataset = read(self.data, self.target, self.task) if self.data else BUNDLED[str(self.dataset)]()
        bundle = self.bundle(dataset)
        folder = add(self.out, bundle)
        print(report(folder, bundle))

    def bundle(self, dataset: Dataset) -> Bundle:
        """Train on a data set and export the network with its metrics, in memory."""
        refuse_misfit(self.network, dataset.input.shape[1:])
        parts = split(dataset, self.test_size, self.seed)
        bundles = [self._candidate(dataset, parts, aim) for aim in self._objectives(dataset, parts.train.y)]
        bundle = bundles[0] if len(bundles) == 1 else self._likeliest(bundles, *dataset.fed(parts.validation))
        held_out = dataset.fed(parts.test)
        measured = _with(
            bundle,
            metrics=held_out_metrics(Predictor(bundle), *held_out, self.samples, self.seed),
            example=self._example(bundle.manifest.inputs[0], parts),
        )
        # What has measured the model may calibrate it: nothing was chosen by these rows.
        if len(parts.test) < LEAST_ROWS:
            return measured
        return with_card(calibrate(measured, *held_out, self.samples), *held_out, self.samples)

    def _objectives(self, dataset: Dataset, y: NDArray[Any]) -> list[Objective]:
        if dataset.classes is not None:
            if self.noise is not None:
                raise DataError(f"--noise {self.noise} goes with a regression; {dataset.name} holds classes")
            return [classification(len(dataset.classes))]
        noises: tuple[Noise, ...] = (self.noise,) if self.noise else ("constant", "predicted")
        return [regression(y, noise) for noise in noises]

    def _candidate(self, dataset: Dataset, parts: Split, aim: Objective) -> Bundle:
        """Train towards an objective, export, and fit the noise of a regression on validation rows."""
        network = self._network(dataset, parts, aim)
        bundle = self._export(network, dataset, parts, aim)
        fed = dataset.fed(parts.validation)
        if aim.outputs == "mean":
            noise = fit_noise(Predictor(bundle), *fed, self.samples, self.seed)
            return _with(bundle, noise_variance=noise)
        if isinstance(aim.answer, UnscaleNormal):
            aim.answer.scale_noise(fit_factor(Predictor(bundle), *fed, self.samples, self.seed))
            return self._export(network, dataset, parts, aim)
        return bundle

    def _likeliest(self, bundles: list[Bundle], inputs: Inputs, y: NDArray[Any]) -> Bundle:
        def log_likelihood(bundle: Bundle) -> float:
            metrics = held_out_metrics(Predictor(bundle), inputs, y, self.samples, self.seed)
            return metrics.get("log_likelihood", -math.inf)

        return max(bundles, key=log_likelihood)

    def _export(self, network: nn.Module, dataset: Dataset, parts: Split, aim: Objective) -> Bundle:
        spec = self._architecture.signature(dataset.input)
        return export(
            network,
            parts.test.x[:5],
            task=dataset.task,
            outputs=aim.outputs,
            name=self.name or _name(dataset.name),
            inputs=[spec],
            free={spec.name: self._architecture.free},
            classes=dataset.classes,
            target=dataset.target,
            targets=dataset.targets,
            provenance=self._provenance(dataset, parts),
        )

    def _network(self, dataset: Dataset, parts: Split, aim: Objective) -> nn.Module:
        """Train; return the whole way from a raw row to its answer."""
        standardise = preprocess(dataset.input, parts.train.x, sequences=self._architecture.sequences)
        train, validation = (
            Part(standardise(torch.from_numpy(part.x)).numpy(), part.y)
            for part in (parts.train, parts.validation)
        )
        with seeded(self.seed):
            network = self._architecture.build(
                train.x.shape[1:], aim.width, self._hidden(dataset.task), self._dropout(dataset.task)
            )
            fit(network, train, validation, aim, self._recipe(dataset.task))
        return nn.Sequential(OrderedDict(preprocess=standardise, network=network, answer=aim.answer))

    def _example(self, spec: Input, parts: Split) -> list[Any] | None:
        """Show rows of a data set that is public, but none of the user's: bundles are handed around."""
        rows = parts.test.x[:2] if self.data is None else typical(spec, parts.train.x)
        return example(spec, rows)

    @property
    def _architecture(self) -> Architecture:
        return ARCHITECTURES[self.network]

    def _hidden(self, task: Task) -> tuple[int, ...]:
        return self.hidden or self._architecture.hidden[task]

    def _dropout(self, task: Task) -> tuple[float, ...]:
        return self.dropout or (self._architecture.dropout[task],)

    def _recipe(self, task: Task) -> Recipe:
        return Recipe(
            self.epochs,
            self.batch_size,
            self.lr or LR[task],
            self.weight_decay,
            self.patience or PATIENCE[task],
        )

    def _provenance(self, dataset: Dataset, parts: Split) -> Provenance:
        return Provenance(
            seed=self.seed,
            hyperparameters={
                "network": self.network,
                "hidden": list(self._hidden(dataset.task)),
                "dropout": list(self._dropout(dataset.task)),
                "optimiser": "Adam",
                **vars(self._recipe(dataset.task)),
            },
            data={
                "name": dataset.name,
                "sha256": dataset.digest,
                "test_size": self.test_size,
                "rows": {name: len(part) for name, part in vars(parts).items()},
                "evaluation_samples": self.samples,
            },
            libraries={"caveat": __version__, **{name: version(name) for name in LIBRARIES}},
        )


def _with(bundle: Bundle, **update: Any) -> Bundle:
    return pack(bundle.manifest.model_copy(update=update), bundle.files)


def _name(data: str) -> str:
    """Make a model's name of the data's.

    >>> _name("Wine Quality (red)")
    'wine-quality-red'
    """
    name = re.sub(r"[^a-z0-9_]+", "-", data.lower()).strip("-_")[:64]
    if not name:
        raise DataError(f"{data!r} makes no name for a model; give one with --name")
    return name
