"""One run of a training: a network for each objective, as a bundle without a calibration."""

import math
import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from caveat import __version__
from caveat.models.bundles.bundle import Bundle, pack
from caveat.models.bundles.features import OTHER
from caveat.models.bundles.manifest import Provenance
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.architecture import ARCHITECTURES
from caveat.training.augmentation.augmentation import Augmentation, augmentation
from caveat.training.augmentation.kinds import strengths
from caveat.training.data.dataset import Dataset, Part, Split
from caveat.training.errors import DataError
from caveat.training.export.export import export
from caveat.training.fit import Fitted, Trainer, fit, seeded
from caveat.training.metrics import held_out_metrics
from caveat.training.objectives.objective import Objective
from caveat.training.objectives.unknown import Hidden, Widened, widened
from caveat.training.options import Options
from caveat.training.pace import seconds
from caveat.training.preprocessing.preprocess import preprocess
from caveat.training.preprocessing.unseen import Hiding, hiding
from caveat.training.processor import Processor, suited, work
from caveat.training.progress import Progress, shown
from caveat.training.recipe import Recipe, trial
from caveat.training.sample import MOST_CHOOSING, MOST_EVALUATED, sample

_MOST_WIDENING: Final = 2000
"""Most validation rows on which is fitted what each unknown category does."""

LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "torch")


@dataclass(frozen=True)
class Run:
    """The training of networks on some parts of a data set.

    Parameters
    ----------
    dataset, parts
        The rows, and their parts; the training part decides what is not among the options.
    options, progress
        See `caveat.training.train.train`.
    recipe, hidden, dropout
        The hyperparameters, the sizes of the hidden layers and the dropout rates.
    threads, gpu
        Threads that may train, and whether a GPU may.
    """

    dataset: Dataset
    parts: Split
    options: Options
    recipe: Recipe
    hidden: tuple[int, ...]
    dropout: tuple[float, ...]
    threads: int = 1
    gpu: bool = False
    progress: Progress | None = None

    @cached_property
    def objectives(self) -> list[Objective]:
        """What networks are trained towards.

        Where unknown categories are to be answered, values have noise that is predicted: constant noise is no
        larger for them.
        """
        dataset, y = self.dataset, self.parts.train.y
        found = dataset.learning.objectives(dataset.name, dataset.classes, y, self.options.noise)
        adjusted = [aim for aim in found if aim.adjust is not None]
        return adjusted if adjusted and self.hiding is not None else list(found)

    def on_few_rows(self) -> "Run":
        """Give a short run on some of the rows, which tells which objective suits them."""
        few = sample(self.parts.train, MOST_CHOOSING, self.options.seed)
        validation = sample(self.parts.validation, MOST_CHOOSING // 4, self.options.seed)
        return replace(
            self,
            parts=Split(few, validation, self.parts.test),
            recipe=trial(self.recipe),
        )

    @cached_property
    def hiding(self) -> Hiding | None:
        """What is hidden of the training rows."""
        return hiding(self.dataset.input)

    @cached_property
    def augmentation(self) -> Augmentation | None:
        """What changes the training rows."""
        kinds = strengths(self.options.augment)
        rows, architecture = torch.from_numpy(self.parts.train.x), ARCHITECTURES[self.options.network]
        return augmentation(kinds, rows, architecture.sequences)

    @cached_property
    def processor(self) -> Processor:
        """What trains: the same for every objective."""
        with seeded(self.options.seed):
            network = self._network(self.objectives[0])
        row = torch.from_numpy(self.parts.train.x[:1])
        return suited(work(network, row, self.recipe.batch_size), self.threads, self.gpu)

    def seconds(self, aim: Objective) -> float:
        """Estimate the time of training towards an objective, unless it is stopped early."""
        with self.processor.used() as device, seeded(self.options.seed):
            network, train = self._network(aim), self.parts.train
            trainer = Trainer(network, train, aim, self.recipe, device, self.hiding, self.augmentation)
            return seconds(trainer, self.parts.validation, self.recipe)

    def bundle(self, aim: Objective) -> Bundle:
        """Train towards an objective, export, and fit the rest on validation rows."""
        train, validation, processor = self.parts.train, self.parts.validation, self.processor
        with seeded(self.options.seed):
            network = self._network(aim)
            fitted = fit(
                network, train, validation, aim, self.recipe, processor, self.hiding, self.augmentation
            )
        samples, seed = self.options.samples, self.options.seed
        bundle = self._export(network, aim.answer, aim, fitted)
        if aim.adjust is not None:
            with shown(self.progress, "fit the predicted noise"):
                aim.adjust(Predictor(bundle), *self.dataset.fed(validation), samples, seed)
            bundle = self._export(network, aim.answer, aim, fitted)
        answer = None if self.hiding is None else widened(aim, len(self.hiding.columns))
        if answer is not None:
            bundle = self._export(network, answer, aim, fitted)
            with shown(self.progress, "fit what unknown categories do"):
                self._widen(answer, Predictor(bundle))
            bundle = self._export(network, answer, aim, fitted)
        inputs, y = self.dataset.fed(validation)
        with shown(self.progress, "fit on validation rows"):
            return updated(bundle, **self.dataset.learning.fit(bundle, inputs, y, samples, seed))

    def quality(self, bundle: Bundle) -> float:
        """Measure a bundle on validation rows: the larger, the better."""
        inputs, y = self.dataset.fed(self.parts.validation)
        with shown(self.progress, "compare the kinds of noise"):
            metrics = held_out_metrics(Predictor(bundle), inputs, y, self.options.samples, self.options.seed)
        return metrics.get(self.dataset.learning.chosen_by, -math.inf)

    def _widen(self, answer: Widened, predictor: Predictor) -> None:
        """Fit how much less certain answers get, feature by feature, on validation rows."""
        assert self.hiding is not None
        part = sample(self.parts.validation, _MOST_WIDENING, self.options.seed)
        samples, seed = self.options.samples, self.options.seed
        for place, column in enumerate(self.hiding.columns):
            known = Part(*(of[~np.isnan(part.x[:, column])] for of in (part.x, part.y)))
            if not len(known):
                continue
            inputs, y = self.dataset.fed(known)
            answers = estimate(predictor, inputs, samples, seed)
            rows = known.x.copy()
            rows[:, column] = OTHER
            without, _ = self.dataset.fed(Part(rows, y))
            answer.widen(place, Hidden(predictor, answers, without, y, samples, seed))

    def _network(self, aim: Objective) -> nn.Sequential:
        """Make a network that takes raw rows."""
        rows, architecture = self.parts.train.x, ARCHITECTURES[self.options.network]
        standardise = preprocess(self.dataset.input, rows, sequences=architecture.sequences)
        shape = standardise(torch.from_numpy(rows[:1])).shape[1:]
        network = architecture.build(shape, aim.width, self.hidden, self.dropout)
        return nn.Sequential(OrderedDict(preprocess=standardise, network=network))

    def _export(self, network: nn.Sequential, answer: nn.Module, aim: Objective, fitted: Fitted) -> Bundle:
        dataset, architecture = self.dataset, ARCHITECTURES[self.options.network]
        spec = architecture.signature(dataset.input)
        whole: nn.Module = nn.Sequential(OrderedDict(network.named_children(), answer=answer))
        if isinstance(answer, Widened) and self.hiding is not None:
            whole = _Whole(network, answer, self.hiding)
        return export(
            whole,
            self.parts.test.x[:5],
            task=dataset.task,
            outputs=aim.outputs,
            name=self.options.name or _name(dataset.name),
            inputs=[spec],
            free={spec.name: architecture.free},
            classes=dataset.classes,
            target=dataset.target,
            targets=dataset.targets,
            provenance=self._provenance(fitted),
            progress=self.progress,
        )

    def _provenance(self, fitted: Fitted) -> Provenance:
        parts = vars(self.parts).items()
        return Provenance(
            seed=self.options.seed,
            hyperparameters={
                "network": self.options.network,
                "hidden": list(self.hidden),
                "dropout": list(self.dropout),
                "optimiser": "AdamW" if self.recipe.weight_decay else "Adam",
                **vars(self.recipe),
                **({"augment": strengths(self.options.augment)} if self.options.augment else {}),
                **vars(fitted),
                **({"hidden_categories": self.hiding.rate} if self.hiding else {}),
                "processor": str(self.processor),
            },
            data={
                "name": self.dataset.name,
                "sha256": self.dataset.digest,
                "test_size": self.options.test_size,
                "rows": {name: len(part) for name, part in parts},
                "evaluated_rows": min(len(self.parts.test), MOST_EVALUATED),
                "evaluation_samples": self.options.samples,
                **{name: dict(of) for name, of in self.dataset.writing.items() if of},
                **({"columns": self.dataset.report.columns} if self.dataset.report else {}),
                **({"notes": list(self.dataset.notes)} if self.dataset.notes else {}),
            },
            libraries={"caveat": __version__, **{name: version(name) for name in LIBRARIES}},
        )


class _Whole(nn.Module):
    """The whole way from a raw row to an answer that depends on which categories are unknown."""

    def __init__(self, network: nn.Sequential, answer: Widened, hiding: Hiding) -> None:
        super().__init__()
        self.preprocess, self.network = network
        self.answer = answer
        self._hiding = hiding

    def forward(self, rows: Tensor) -> Any:
        return self.answer(self.network(self.preprocess(rows)), self._hiding.unknown(rows))


def updated(bundle: Bundle, **update: Any) -> Bundle:
    """Change fields of a bundle's manifest."""
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
