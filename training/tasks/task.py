"""The base class of tasks: everything in training that depends on what a model answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from caveat.models.answers.conformal import Sets
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.tasks import tasks
from caveat.models.tasks.task import Task
from caveat.training.drawing.canvas import Plot
from caveat.training.errors import ExportError
from caveat.training.measures import values
from caveat.training.measures.evaluation import Evaluation, Table
from caveat.training.objectives.objective import Objective
from caveat.training.vocabulary import Labels, Noise

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Stated:
    """What a user states of the answers of a network; see `caveat.training.export.export.export`."""

    classes: Sequence[str] | None = None
    target: str | None = None
    targets: Sequence[str] | None = None
    noise_variance: float | Sequence[float] = 0.0


class Learning(ABC):
    """How models of a task are learned, exported, fitted, measured and shown.

    A subclass in a file of its own makes a task of `caveat.models.tasks` known to training: see
    `caveat.training.tasks.tasks`. Unless a subclass says otherwise, a row has one truth, a number, and its
    region is an interval.
    """

    name: ClassVar[str]
    """Name of the task."""
    several: ClassVar[tuple[str, ...]] = ()
    """Kinds of outputs that a network may give as several tensors."""
    truth: ClassVar[str] = "value"
    """What the truth of a row is, in a word."""
    chosen_by: ClassVar[str] = "log_likelihood"
    """The metric by which the best of several trained networks is kept: the larger, the better."""
    regions: ClassVar[str] = "intervals"
    """What prediction regions are called."""
    risk: ClassVar[str]
    """What `curves` show."""

    @property
    def model(self) -> type[Task]:
        """The same task where it is served."""
        return tasks.named(self.name)

    def infers(self, values: NDArray[Any]) -> bool:
        """Tell whether a target of these values sets this task, if the user names none."""
        return False

    @abstractmethod
    def encode(self, values: NDArray[Any], where: str) -> tuple[NDArray[Any], tuple[str, ...] | None]:
        """Encode a target as a network learns it; see `caveat.training.data.target.encode_target`."""

    def truths(
        self, values: NDArray[Any], manifest: Manifest, where: str, labels: Labels | None = None
    ) -> NDArray[Any]:
        """Encode the truths of held-out rows as a model answers.

        Parameters
        ----------
        values, manifest
            The truths, and the model.
        where
            Name of the truths in an error.
        labels
            What whole numbers stand for, if the owner says so.

        Raises
        ------
        DataError
            If the model can't give such an answer, or a truth can be read in two ways.
        """
        return self.encode(values, where)[0]

    def groups(self, classes: Sequence[str] | None, y: NDArray[Any]) -> Mapping[str, NDArray[np.intp]]:
        """Give the rows of each class by its name; nothing unless truths are classes."""
        return {}

    def targets(self, manifest: Manifest) -> tuple[str | None, ...]:
        """List the targets of a model, each of which has a truth for each row."""
        return (manifest.target,)

    @abstractmethod
    def objectives(
        self, data: str, classes: Sequence[str] | None, y: NDArray[Any], noise: Noise | None
    ) -> list[Objective]:
        """List the objectives to train a network towards, of which the best is kept.

        Parameters
        ----------
        data
            Name of the data set.
        classes
            Names of the classes.
        y
            Encoded targets of the training rows.
        noise
            The kind of noise that the user chose.

        Raises
        ------
        DataError
            If the targets can't be learned, or the task has no such noise.
        """

    @abstractmethod
    def answer(self, outputs: Any, kind: str, rows: int) -> Tensor:
        """Turn a network's outputs of a kind, for a number of rows, into those of its graphs.

        Raises
        ------
        ExportError
            If the outputs do not have a shape of their kind.
        """

    def check_answers(self, answers: Tensor, kind: str) -> None:  # noqa: B027  # most take any number
        """Refuse answers to example rows that are not what the kind of the outputs says.

        Raises
        ------
        ExportError
            Saying what to change.
        """

    def facts(self, kind: str, shape: tuple[int, ...], stated: Stated) -> Mapping[str, Any]:
        """Give the fields of the manifest that the task alone reads.

        Parameters
        ----------
        kind
            Kind of the network's outputs.
        shape
            Shape of the graphs' outputs for one row.
        stated
            What the user states of them.

        Raises
        ------
        ExportError
            If what the user states does not fit the task, or the shape.
        """
        if stated.targets is not None:
            raise ExportError(f"{len(stated.targets)} names of targets; this network has at most one target")
        if stated.classes is not None:
            raise ExportError(f"a {self.name} has no classes")
        return {"target": stated.target}

    def fit(
        self,
        bundle: Bundle,
        inputs: Inputs,
        y: NDArray[Any],
        samples: int,
        seed: int,
    ) -> Mapping[str, Any]:
        """Fit fields of the manifest on rows that did not train the network."""
        return {}

    def calibration(
        self,
        answers: Columns,
        once: NDArray[Any],
        y: NDArray[Any],
        sets: Sets,
        by_class: bool,
    ) -> Mapping[str, Any]:
        """Give the task's own fields of `caveat.models.tasks.facts.CalibrationFacts`.

        Parameters
        ----------
        answers, once, y
            Answers to the calibration rows from passes, those without dropout, and the truths.
        sets, by_class
            As the user chose.
        """
        return {}

    def fitted(self, manifest: Manifest) -> Sequence[str]:
        """Say in words what was fitted."""
        return ()

    @abstractmethod
    def metrics(
        self, manifest: Manifest, answers: Columns, once: NDArray[Any], y: NDArray[Any]
    ) -> Mapping[str, float]:
        """Measure answers to held-out rows from passes, and those without dropout; see `held_out_metrics`."""

    def recalibrated(
        self,
        once: NDArray[Any],
        others: NDArray[Any],
        y: NDArray[Any],
    ) -> NDArray[Any] | None:
        """Fit an uncertainty for answers without dropout on other rows, whose truths are ``y``."""
        return None

    @abstractmethod
    def figures(self, answers: Columns, y: NDArray[Any]) -> Table:
        """Evaluate the answers of each method; see `caveat.training.measures.names` for their columns."""

    def holds(self, regions: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell whether the region of each row holds its truth, shape (B,)."""
        return values.holds(regions, y)

    def sizes(self, regions: NDArray[Any]) -> NDArray[Any]:
        """Give the size of each row's region, shape (B,)."""
        return values.widths(regions)

    @abstractmethod
    def scores(self, answers: Columns) -> Mapping[str, Vector]:
        """Give the scores that may tell out-of-distribution rows, larger for less certain rows."""

    @abstractmethod
    def curves(self, answers: Columns, y: NDArray[Any]) -> Mapping[str, Vector]:
        """Give the `risk` of the k most certain answers by each score, for all k, shape (B,)."""

    @abstractmethod
    def subtitle(self, manifest: Manifest) -> str:
        """Say in a sentence what a model predicts."""

    def plots(self, evaluation: Evaluation) -> Iterator[Plot]:
        """Draw the task's own plots of a model card."""
        yield from ()

    def spread(self, answers: Columns) -> Vector:
        """Give the uncertainty of each row as a card shows it, shape (B,)."""
        uncertainty: Vector = answers[self.model.uncertainty].astype(np.float64)
        return uncertainty

    def spread_name(self, target: str | None) -> str:
        """Name `spread`, with its unit."""
        return self.model.uncertainty

    def parts(self, answers: Columns, y: NDArray[Any]) -> Mapping[str, NDArray[np.bool_]]:
        """Tell which rows belong to each part whose uncertainties a card compares."""
        return {"these rows": np.ones(len(y), np.bool_)}
