"""From a data set to a bundle: train, export, measure, calibrate."""

import math
import re
from collections import OrderedDict
from importlib.metadata import version
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from caveat import __version__
from caveat.models.bundles.bundle import Bundle, pack
from caveat.models.bundles.manifest import Provenance
from caveat.models.bundles.signature import Input, Inputs
from caveat.models.predictor import Predictor
from caveat.training.architecture import ARCHITECTURES, refuse_misfit
from caveat.training.calibrate import LEAST_ROWS, calibrate
from caveat.training.card.card import with_card
from caveat.training.data.dataset import Dataset, Part, Split, split
from caveat.training.errors import DataError
from caveat.training.example import example, typical
from caveat.training.export.export import export
from caveat.training.fit import Recipe, fit, seeded
from caveat.training.metrics import held_out_metrics
from caveat.training.objectives.objective import Objective
from caveat.training.options import Options
from caveat.training.preprocessing.preprocess import preprocess
from caveat.training.progress import Progress

LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "torch")


def train(dataset: Dataset, options: Options, progress: Progress | None = None) -> Bundle:
    """Train on a data set, and export the network with its metrics and its calibration, in memory.

    A part of the rows is held out to test the model on and then to calibrate it; another part decides when
    training stops. A regression without a stated noise is trained with either kind; the bundle that makes
    the validation rows likelier is kept.

    Parameters
    ----------
    dataset, options
        The rows, and how to train on them.
    progress
        Called at each step of an export; see `caveat.training.export.export.export`.

    Raises
    ------
    CaveatError
        If the rows do not fit the network, or the options do not fit the task.
    """
    return _Training(dataset, options, progress).bundle()


class _Training:
    """One training: its data, split, and the options with their defaults for the task."""

    def __init__(self, dataset: Dataset, options: Options, progress: Progress | None) -> None:
        refuse_misfit(options.network, dataset.input.shape[1:])
        self._dataset = dataset
        self._options = options
        self._progress = progress
        self._parts: Split = split(dataset, options.test_size, options.seed)
        self._architecture = ARCHITECTURES[options.network]
        defaults = dataset.learning.model.training
        sizes = defaults.hidden.get(options.network, self._architecture.hidden)
        rate = self._architecture.dropout if defaults.dropout is None else defaults.dropout
        self._hidden = options.hidden or sizes
        self._dropout = options.dropout or (rate,)
        self._recipe = Recipe(
            options.epochs,
            options.batch_size,
            options.lr or defaults.lr,
            options.weight_decay,
            options.patience or defaults.patience,
        )

    def bundle(self) -> Bundle:
        bundles = [self._candidate(aim) for aim in self._objectives()]
        bundle = bundles[0] if len(bundles) == 1 else max(bundles, key=self._quality)
        samples, seed = self._options.samples, self._options.seed
        inputs, y = self._dataset.fed(self._parts.test)
        measured = _with(
            bundle,
            metrics=held_out_metrics(Predictor(bundle), inputs, y, samples, seed),
            example=self._example(bundle.manifest.inputs[0]),
        )
        # What has measured the model may calibrate it: nothing was chosen by these rows.
        if len(self._parts.test) < LEAST_ROWS:
            return measured
        return with_card(calibrate(measured, inputs, y, samples), inputs, y, samples)

    def _objectives(self) -> list[Objective]:
        dataset, y = self._dataset, self._parts.train.y
        return dataset.learning.objectives(dataset.name, dataset.classes, y, self._options.noise)

    def _candidate(self, aim: Objective) -> Bundle:
        """Train towards an objective, export, and fit the rest on validation rows."""
        network = self._network(aim)
        bundle = self._export(network, aim)
        inputs, y = self._validation()
        samples, seed = self._options.samples, self._options.seed
        if aim.adjust is not None:
            aim.adjust(Predictor(bundle), inputs, y, samples, seed)
            bundle = self._export(network, aim)
        return _with(bundle, **self._dataset.learning.fit(bundle, inputs, y, samples, seed))

    def _quality(self, bundle: Bundle) -> float:
        inputs, y = self._validation()
        metrics = held_out_metrics(Predictor(bundle), inputs, y, self._options.samples, self._options.seed)
        return metrics.get(self._dataset.learning.chosen_by, -math.inf)

    def _validation(self) -> tuple[Inputs, NDArray[Any]]:
        return self._dataset.fed(self._parts.validation)

    def _export(self, network: nn.Module, aim: Objective) -> Bundle:
        dataset = self._dataset
        spec = self._architecture.signature(dataset.input)
        return export(
            network,
            self._parts.test.x[:5],
            task=dataset.task,
            outputs=aim.outputs,
            name=self._options.name or _name(dataset.name),
            inputs=[spec],
            free={spec.name: self._architecture.free},
            classes=dataset.classes,
            target=dataset.target,
            targets=dataset.targets,
            provenance=self._provenance(),
            progress=self._progress,
        )

    def _network(self, aim: Objective) -> nn.Module:
        """Train; return the whole way from a raw row to its answer."""
        rows = self._parts.train.x
        standardise = preprocess(self._dataset.input, rows, sequences=self._architecture.sequences)
        train, validation = (
            Part(standardise(torch.from_numpy(part.x)).numpy(), part.y)
            for part in (self._parts.train, self._parts.validation)
        )
        with seeded(self._options.seed):
            network = self._architecture.build(train.x.shape[1:], aim.width, self._hidden, self._dropout)
            fit(network, train, validation, aim, self._recipe)
        return nn.Sequential(OrderedDict(preprocess=standardise, network=network, answer=aim.answer))

    def _example(self, spec: Input) -> list[Any] | None:
        """Show rows of a data set that is public, but none of the user's: bundles are handed around."""
        rows = self._parts.test.x[:2] if self._dataset.public else typical(spec, self._parts.train.x)
        return example(spec, rows)

    def _provenance(self) -> Provenance:
        return Provenance(
            seed=self._options.seed,
            hyperparameters={
                "network": self._options.network,
                "hidden": list(self._hidden),
                "dropout": list(self._dropout),
                "optimiser": "Adam",
                **vars(self._recipe),
            },
            data={
                "name": self._dataset.name,
                "sha256": self._dataset.digest,
                "test_size": self._options.test_size,
                "rows": {name: len(part) for name, part in vars(self._parts).items()},
                "evaluation_samples": self._options.samples,
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
