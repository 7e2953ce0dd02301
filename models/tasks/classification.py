"""Classification: which of several classes a row is of."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.chance import CHANCE
from caveat.models.answers.uncertainty import (
    TINY,
    Columns,
    Moments,
    Total,
    blocks,
    entropy,
    highest_entropy,
    information,
)
from caveat.models.errors import InputError
from caveat.models.tasks.calibration import Arrays, Calibration
from caveat.models.tasks.class_calibration import ClassCalibration
from caveat.models.tasks.column import PASSES, Column, Form
from caveat.models.tasks.decisions import Decisions
from caveat.models.tasks.facts import CalibrationFacts
from caveat.models.tasks.task import TRUTH, Task

_NAMED: Final = 5  # classes that a note names, at most

_LABEL = Column("label", "The most probable class.", "class")

_PREDICTION = Form(
    "Classes",
    "A classifier's deterministic answer: one entry per row.",
    "mean",
    (
        _LABEL,
        Column(
            "mean", "Probability of every class, as the network gives it, (rows, classes).", axes=("classes",)
        ),
        Column(
            "probabilities",
            "Calibrated probability of every class: that of the network at the temperature that is most"
            " likely for the calibration rows; present if the model has a calibration.",
            axes=("classes",),
            optional=True,
        ),
    ),
)

_ESTIMATE = Form(
    "UncertainClasses",
    "A classifier's answer from many stochastic passes: one entry per row, entropies in nats.",
    "mean",
    (
        Column("label", "The class of the highest mean probability.", "class"),
        Column("mean", "Mean probability of every class, (rows, classes).", axes=("classes",)),
        Column("variance", "Variance of each probability over the passes.", axes=("classes",)),
        Column("standard_error", "Monte Carlo standard error of each mean.", axes=("classes",)),
        Column("predictive_entropy", "Total uncertainty: the entropy of the mean."),
        Column("expected_entropy", "What the data leave open: the mean of the passes' entropies."),
        Column(
            "mutual_information",
            "What the model does not know: predictive_entropy less expected_entropy, which is how far the"
            " passes disagree.",
        ),
        PASSES,
        Column(
            "probabilities",
            "Calibrated probability of every class: the mean at the temperature that is most likely for the"
            " calibration rows; present if the model has a calibration.",
            axes=("classes",),
            optional=True,
        ),
        Column(
            "credibility",
            "How well the label conforms with the calibration rows, or those of its class if sets are by"
            " class: the fraction of them whose truth had no higher probability than the label has, 0 to 1."
            " Where it is low, no class fits, or by class the label does not fit; present if the model has a"
            " calibration.",
            optional=True,
        ),
        Column(
            "percentile",
            "Percentile of the row's uncertainty among the calibration rows, 0 to 100; present if the model"
            " has a calibration whose passes were made as these.",
            optional=True,
        ),
        Column(
            "prediction_set",
            "Possible classes at the requested coverage, the label among them; present if the request had a"
            " coverage.",
            "classes",
            optional=True,
        ),
        Column(
            "abstain",
            "Whether to withhold the answer; present if the request had a max_error.",
            "boolean",
            optional=True,
        ),
    ),
)


class Classification(Task):
    """A model that answers with class probabilities, shape (rows, classes)."""

    name = "classification"
    kinds = {"logits": "probabilities", "probabilities": "probabilities"}
    kinds_in_words = "logits or probabilities (rows, classes)"
    forms = ((_PREDICTION, _ESTIMATE),)
    uncertainty = "predictive_entropy"
    counted = ("predictive_entropy", "mutual_information", "percentile", "abstain")
    region = "prediction_set"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        assert self.facts.classes is not None
        return self.facts.classes

    def check(self) -> None:
        """See `Task.check`."""
        super().check()
        facts = self.facts
        if facts.classes is None or facts.output[1:] != (len(facts.classes),):
            raise ValueError(f"a classification names one class per output; outputs are {facts.output}")
        known = facts.calibration
        if known and None in (known.sets, known.temperature, known.deterministic_temperature):
            raise ValueError("the calibration of a classification has sets and two temperatures")

    def check_graph(self, shape: Sequence[object]) -> None:
        """See `Task.check_graph`."""
        size = shape[-1] if shape else None
        if isinstance(size, int) and size != len(self.classes):
            raise ValueError(f"gives {size} classes, the manifest names {len(self.classes)}")

    def check_outputs(self, outputs: NDArray[np.floating]) -> None:
        """See `Task.check_outputs`."""
        if not ((outputs > -1e-3) & (outputs < 1.001)).all():
            raise ValueError("gives numbers outside 0 to 1, not probabilities")

    def predicted(self, points: NDArray[np.floating]) -> Columns:
        """Give ``label`` (B,) and ``mean`` (B, C)."""
        return {"label": points.argmax(axis=-1), "mean": points}

    def summary(self) -> "ClassificationSummary":
        """See `Task.summary`."""
        return ClassificationSummary()

    def calibration_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `Task.calibration_shapes`."""
        facts = _calibrated(self)
        rows = (facts.rows,)
        names = [TRUTH, "label", self.uncertainty, *([CHANCE] if facts.randomised else [])]
        return {**dict.fromkeys(names, rows), "mean": (*rows, len(self.classes))}

    def calibration(self, arrays: Arrays) -> Calibration:
        """See `Task.calibration`."""
        for codes in (arrays["label"], arrays[TRUTH]):
            if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= len(self.classes):
                raise ValueError(f"{TRUTH} or label is not an integer from 0 to {len(self.classes) - 1}")
        return ClassCalibration(_calibrated(self), self.uncertainty, len(self.classes), arrays)

    def _refuse(self, decisions: Decisions) -> None:
        if decisions.quantiles:
            raise InputError(
                "quantiles", "none: quantiles are of values, and this model answers with classes", "some"
            )
        if decisions.error_tolerance is not None:
            raise InputError("error_tolerance", "none: a class is right or wrong", "some")

    def notes(self, decisions: Decisions, calibration: Calibration | None) -> Mapping[str, str]:
        """Name the classes that are in every set, since too few calibration rows are of them."""
        if decisions.coverage is None or not isinstance(calibration, ClassCalibration):
            return {}
        if not calibration.facts.by_class:  # all classes share their rows
            return {}
        unbounded = np.flatnonzero(np.isinf(calibration.quantiles(decisions.coverage))).tolist()
        if not unbounded:
            return {}
        named = ", ".join(f"{self.classes[code]} ({calibration.rows[code]})" for code in unbounded[:_NAMED])
        more = f" and {len(unbounded) - _NAMED} more" if len(unbounded) > _NAMED else ""
        return {
            self.region: "every set holds the classes of which there are too few calibration rows for this "
            f"coverage: {named}{more}"
        }

    def described(self) -> Sequence[tuple[str, str]]:
        """See `Task.described`."""
        return [("classes", ", ".join(self.classes))]


class ClassificationSummary:
    """Statistics of passes of class probabilities, shape (n, B, C).

    ``predictive_entropy`` is the entropy of the mean, ``expected_entropy`` the mean of the entropies,
    and ``mutual_information`` their difference, all in nats (Houlsby et al., "Bayesian active
    learning for classification and preference learning", 2011, eq. 2). ``label`` is the index of the
    most probable class.

    The mean over N passes has a lower entropy than the mean over infinitely many, in expectation by
    ``sum(variance / mean) / (2 N)`` to the first order in 1 / N (the delta method). ``predictive_entropy``
    adds this difference, up to the entropy that any probabilities of so many classes have at most.
    """

    def __init__(self) -> None:
        self._probabilities = Moments()
        self._information = Total()

    def add(self, passes: NDArray[np.floating]) -> None:
        """Add the next chunk of passes, shape (n, B, C)."""
        for block in blocks(passes):
            self._probabilities.add(block)
            self._information.add(information(block).astype(np.float64))

    def standard_error(self) -> NDArray[np.float64]:
        """Give the standard error of each row's mean, shape (B, C)."""
        return self._probabilities.standard_error

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all rows but these."""
        self._probabilities.keep(rows)
        self._information.keep(rows)

    def columns(self) -> Columns:
        """Give ``mean``, ``variance`` and ``standard_error`` (B, C), ``label`` and entropies (B,)."""
        mean, variance = self._probabilities.mean, self._probabilities.variance
        count = self._probabilities.count
        bias = (variance / np.maximum(mean, TINY[mean.dtype])).sum(axis=-1) / (2 * count)
        most = highest_entropy(mean.shape[-1])
        predictive = np.minimum(entropy(mean) + bias, most)
        expected = np.minimum(self._information.value.sum(axis=-1) / count, most)
        return {
            "label": mean.argmax(axis=-1),
            "mean": _single(mean),
            "variance": _single(variance),
            "standard_error": _single(np.sqrt(variance / count)),
            "predictive_entropy": _single(predictive),
            "expected_entropy": _single(expected),
            "mutual_information": _single(np.maximum(predictive - expected, 0)),
        }


def _calibrated(task: Task) -> CalibrationFacts:
    assert task.facts.calibration is not None
    return task.facts.calibration


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)
