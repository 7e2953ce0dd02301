"""Classification: learned by cross-entropy, calibrated by a temperature, measured as probabilities."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caveat.models.answers.conformal import Sets
from caveat.models.answers.tempering import tempered
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.training.drawing.canvas import Plot
from caveat.training.drawing.classes import reliability
from caveat.training.errors import DataError, ExportError
from caveat.training.fits.temperature import most_likely_temperature
from caveat.training.measures import classes as measures
from caveat.training.measures.evaluation import Evaluation, Table
from caveat.training.measures.names import (
    CALIBRATED,
    ONCE,
    ONCE_CALIBRATED,
    PASSES,
    WITHOUT,
    WITHOUT_CALIBRATED,
)
from caveat.training.measures.risks import risks
from caveat.training.objectives.classes import classification
from caveat.training.objectives.objective import Objective
from caveat.training.tasks.labels import are_labels, indices_of, name_of_class
from caveat.training.tasks.task import Learning, Stated, Vector
from caveat.training.vocabulary import Labels, Noise

_SUM_TOLERANCE = 1e-3


class Classification(Learning):
    """A truth is the index of a class, and a region is a set of classes."""

    name = "classification"
    truth = "class"
    regions = "prediction sets"
    risk = "error rate of the given answers"

    def infers(self, values: NDArray[Any]) -> bool:
        """See `Learning.infers`."""
        return values.ndim == 1 and are_labels(values)

    def encode(self, values: NDArray[Any], where: str) -> tuple[NDArray[Any], tuple[str, ...] | None]:
        """Give the indices of the classes (int64), and the names of the classes."""
        if values.ndim > 1:
            raise DataError(f"{where}: several targets make a regression; leave --task classification out")
        names, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64), tuple(name_of_class(name) for name in names.tolist())

    def truths(
        self, values: NDArray[Any], manifest: Manifest, where: str, labels: Labels | None = None
    ) -> NDArray[Any]:
        """Find the index of each truth, which is the name of a class, or its index already."""
        if values.ndim > 1:
            raise DataError(f"{where} has shape {values.shape}; expected one class for each row")
        return indices_of(values, manifest.classes or (), where, labels)

    def groups(self, classes: Sequence[str] | None, y: NDArray[Any]) -> Mapping[str, NDArray[np.intp]]:
        """Give the rows of each class."""
        return {name: np.flatnonzero(y == code) for code, name in enumerate(classes or ())}

    def objectives(
        self, data: str, classes: Sequence[str] | None, y: NDArray[Any], noise: Noise | None
    ) -> list[Objective]:
        """See `Learning.objectives`."""
        if noise is not None:
            raise DataError(f"--noise {noise} goes with a regression; {data} holds classes")
        return [classification(len(classes or ()))]

    def answer(self, outputs: Any, kind: str, rows: int) -> Tensor:
        """Give probabilities, one per class; a single number is that of the second of two classes."""
        if outputs.ndim == 1 and outputs.shape[0] == rows:
            outputs = outputs.unsqueeze(1)
        if outputs.ndim != 2:
            raise ExportError(
                "a classification answers with one number per class, shape (rows, classes), or with one for "
                f"the second of two; this network answers {rows} rows with shape {tuple(outputs.shape)}"
            )
        logits = kind == "logits"
        if outputs.shape[1] == 1:
            other = torch.zeros_like(outputs) if logits else 1 - outputs
            outputs = torch.cat([other, outputs], dim=1)
        return torch.softmax(outputs, dim=-1) if logits else outputs

    def check_answers(self, answers: Tensor, kind: str) -> None:
        """Refuse outputs that are stated to be probabilities, but are not."""
        if kind != "probabilities":
            return
        if answers.min() < 0 or (answers.sum(dim=-1) - 1).abs().max() > _SUM_TOLERANCE:
            raise ExportError(
                f"the outputs are not probabilities: on the example they lie from {answers.min():.3g} to "
                f"{answers.max():.3g}, and a row adds up to {answers[0].sum():.3g}; "
                "logits are exported with --outputs logits. If each class has its own probability (several "
                "may apply), export one network for each class"
            )

    def facts(self, kind: str, shape: tuple[int, ...], stated: Stated) -> Mapping[str, Any]:
        """See `Learning.facts`; unless the user names the classes, they have numbers."""
        names = stated.classes
        if names is None:
            names = [str(number) for number in range(shape[0])]
        others = super().facts(kind, shape, replace(stated, classes=None))
        if len(names) != shape[0]:
            raise ExportError(f"{len(names)} class names for {shape[0]} outputs")
        return {**others, "classes": tuple(names)}

    def calibration(
        self, answers: Columns, once: NDArray[Any], y: NDArray[Any], sets: Sets, by_class: bool
    ) -> Mapping[str, Any]:
        """See `Learning.calibration`."""
        return {
            "temperature": most_likely_temperature(answers["mean"], y),
            "deterministic_temperature": most_likely_temperature(once, y),
            "sets": sets,
            "by_class": by_class,
        }

    def fitted(self, manifest: Manifest) -> Sequence[str]:
        """See `Learning.fitted`."""
        known = manifest.calibration
        if known is None or known.temperature is None or known.deterministic_temperature is None:
            return ()
        return (
            f"temperature {known.temperature:.3g} ({known.deterministic_temperature:.3g} without dropout)",
        )

    def metrics(
        self, manifest: Manifest, answers: Columns, once: NDArray[Any], y: NDArray[Any]
    ) -> Mapping[str, float]:
        """See `Learning.metrics`."""
        return measures.metrics(answers, once, y)

    def recalibrated(self, once: NDArray[Any], others: NDArray[Any], y: NDArray[Any]) -> NDArray[Any] | None:
        """Give probabilities at the temperature that is fitted on other rows."""
        return tempered(once, most_likely_temperature(others, y))

    def figures(self, answers: Columns, y: NDArray[Any]) -> Table:
        """See `Learning.figures`."""
        methods = {
            PASSES: answers["mean"],
            CALIBRATED: answers.get("probabilities"),
            WITHOUT: answers[ONCE],
            WITHOUT_CALIBRATED: answers[ONCE_CALIBRATED],
        }
        return {name: measures.figures(of, y) for name, of in methods.items() if of is not None}

    def holds(self, regions: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell whether the set of each row holds its class."""
        held: NDArray[np.bool_] = np.take_along_axis(regions, y[:, None], axis=1)[:, 0]
        return held

    def sizes(self, regions: NDArray[Any]) -> NDArray[Any]:
        """Give the number of classes of each row's set."""
        counts: NDArray[np.intp] = regions.sum(axis=-1)
        return counts

    def scores(self, answers: Columns) -> Mapping[str, Vector]:
        """Give those of the passes, and those without dropout."""
        once = measures.deterministic_scores(answers[ONCE])
        return {**measures.scores(answers), **{f"{name}, {WITHOUT}": of for name, of in once.items()}}

    def curves(self, answers: Columns, y: NDArray[Any]) -> Mapping[str, Vector]:
        """Give error rates."""
        wrong = (answers["label"] != y).astype(np.float64)
        scores = {name: (of, wrong) for name, of in measures.scores(answers).items() if name != "variance"}
        once = answers[ONCE]
        wrong_once = (once.argmax(axis=-1) != y).astype(np.float64)
        scores[WITHOUT] = (measures.least_confidence(once), wrong_once)
        return {name: risks(*of) for name, of in scores.items()}

    def subtitle(self, manifest: Manifest) -> str:
        """See `Learning.subtitle`."""
        count = len(manifest.classes or ())
        return f"Predicts one of {count} classes, with the uncertainty of each answer."

    def plots(self, evaluation: Evaluation) -> Iterator[Plot]:
        """Draw how often answers are right."""
        yield reliability(evaluation)

    def spread_name(self, target: str | None) -> str:
        """See `Learning.spread_name`."""
        return "predictive entropy, nats"

    def parts(self, answers: Columns, y: NDArray[Any]) -> Mapping[str, NDArray[np.bool_]]:
        """Tell right from wrong answers."""
        right = answers["label"] == y
        return {"right": right, "wrong": ~right}
