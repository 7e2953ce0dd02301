"""The base class of tasks: everything that depends on what a model answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns, Summary
from caveat.models.errors import InputError
from caveat.models.tasks.calibration import Arrays, Calibration
from caveat.models.tasks.column import Form
from caveat.models.tasks.decisions import Decisions
from caveat.models.tasks.defaults import Defaults
from caveat.models.tasks.facts import Facts

TRUTH: Final = "truth"
"""The array of the truths of calibration rows: indices of classes, or values; (n,), and (n, T) for T
targets."""


class Task(ABC):
    """What a model answers. A subclass in a file of its own is a task: see `caveat.models.tasks.registry`.

    Answers may be partial: whatever reads columns takes those that are there.

    Parameters
    ----------
    facts
        What the model's manifest states.
    """

    name: ClassVar[str]
    """Name of the task in a manifest."""
    kinds: ClassVar[Mapping[str, str]]
    """Kinds of outputs that a network of the task may have, each with the kind of its graphs' outputs; see
    `caveat.models.bundles.manifest.Manifest`."""
    kinds_in_words: ClassVar[str]
    """The kinds of a network's outputs with their shapes, for the help of a command."""
    training: ClassVar[Defaults] = Defaults()
    """Defaults of training."""
    forms: ClassVar[tuple[tuple[Form, Form], ...]]
    """Forms of answers, each without dropout and from passes; a model has one pair of them."""
    uncertainty: ClassVar[str]
    """The column by which rows are compared: larger for less certain answers."""
    counted: ClassVar[tuple[str, ...]]
    """Columns for metrics, which count those that they have a series for; `uncertainty` comes first, and a
    row's whole answer is finite if that is."""
    region: ClassVar[str]
    """The column of prediction regions: a set of classes, or an interval of values."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @property
    def prediction(self) -> Form:
        """The form of the model's answers without dropout."""
        return self._form[0]

    @property
    def estimate(self) -> Form:
        """The form of the model's answers from passes."""
        return self._form[1]

    @property
    def _form(self) -> tuple[Form, Form]:
        return self.forms[0]

    @property
    def own_units(self) -> bool:
        """Whether each output has units of its own, so that errors of several can't be averaged."""
        return False

    def check(self) -> None:
        """Refuse a manifest that contradicts itself.

        Raises
        ------
        ValueError
            Saying what a model of this task has.
        """
        facts = self.facts
        if facts.outputs not in self.kinds.values():
            raise ValueError(f"a {self.name} does not answer with {facts.outputs}")
        ratios = facts.calibration and facts.calibration.error_ratios
        if ratios and np.shape(ratios.greatest) != ((len(facts.targets),) if facts.targets else ()):
            raise ValueError("error_ratios have one greatest variance, or one for each of several targets")

    @abstractmethod
    def check_graph(self, shape: Sequence[object]) -> None:
        """Refuse a graph whose outputs, of shape (rows, ...), are not as many as the manifest names.

        Raises
        ------
        ValueError
            With both numbers.
        """

    def check_outputs(self, outputs: NDArray[np.floating]) -> None:  # noqa: B027  # most take any number
        """Refuse outputs that are not of the stated kind.

        Raises
        ------
        ValueError
            Saying what the graph gives.
        """

    def point(self, outputs: NDArray[np.floating]) -> NDArray[np.floating]:
        """Take the prediction of each row from the outputs of a graph."""
        return outputs

    @abstractmethod
    def predicted(self, points: NDArray[np.floating]) -> Columns:
        """Give the columns of an answer without dropout."""

    @abstractmethod
    def summary(self) -> Summary:
        """Make a summary of passes.

        Its columns are those of an answer from passes; ``mean``, ``standard_error`` and `uncertainty` are
        always among them.
        """

    @abstractmethod
    def calibration_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """List the arrays that a calibration needs, with their shapes."""

    @abstractmethod
    def calibration(self, arrays: Arrays) -> Calibration:
        """Make the calibration of calibration rows.

        Raises
        ------
        ValueError
            If an array holds what the task can't.
        """

    def check_decisions(self, decisions: Decisions, calibration: Calibration | None) -> None:
        """Refuse decisions that the model does not support.

        Raises
        ------
        InputError
            Naming the field, and the values that the model supports.
        """
        if decisions.error_tolerance is not None and decisions.max_error is None:
            raise InputError("max_error", "a rate, which error_tolerance goes with", "nothing")
        self._refuse(decisions)
        if decisions.coverage is None and decisions.max_error is None:
            return
        if calibration is None:
            raise InputError(
                "max_error" if decisions.coverage is None else "coverage",
                "none: this model has no calibration; `caveat calibrate` makes one",
                "one",
            )
        calibration.check(decisions)

    @abstractmethod
    def _refuse(self, decisions: Decisions) -> None:
        """Refuse decisions that no model of this task supports."""

    def decide(self, decisions: Decisions, columns: Columns, calibration: Calibration | None) -> Columns:
        """Give the columns of decisions, which must have passed `check_decisions`.

        Returns
        -------
        Columns
            Those asked for of `region`, and ``abstain`` (B,), or (B, T) for T targets.
        """
        found: dict[str, NDArray[Any]] = {}
        if calibration is None:
            return found
        if decisions.coverage is not None:
            found[self.region] = calibration.region(columns, decisions.coverage)
        if decisions.max_error is not None:
            found["abstain"] = calibration.abstain(columns, decisions.max_error, decisions.error_tolerance)
        return found

    def notes(
        self,
        decisions: Decisions,  # noqa: ARG002  # for tasks that have something to say
        calibration: Calibration | None,  # noqa: ARG002
    ) -> Mapping[str, str]:
        """Say what is to be known of a field of an answer with these decisions, or why it is missing."""
        return {}

    @abstractmethod
    def described(self) -> Sequence[tuple[str, str]]:
        """Say what the model answers, as names and texts for a person."""
