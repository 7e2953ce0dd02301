"""The calibration of a classification: calibrated probabilities, prediction sets, credibility."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers import conformal
from caveat.models.answers.chance import CHANCE
from caveat.models.answers.tempering import tempered
from caveat.models.answers.uncertainty import Columns
from caveat.models.tasks.calibration import Arrays, Calibration
from caveat.models.tasks.facts import CalibrationFacts
from caveat.models.tasks.task import TRUTH


class ClassCalibration(Calibration):
    """Calibrated probabilities and prediction sets; see `caveat.models.answers.conformal`.

    Parameters
    ----------
    facts, column
        See `Calibration`.
    classes
        Number of classes.
    arrays
        Truths, labels and means of the calibration rows; and their chances, if sets are randomised.
    """

    def __init__(self, facts: CalibrationFacts, column: str, classes: int, arrays: Arrays) -> None:
        truth = arrays[TRUTH]
        groups = [truth == code for code in range(classes)] if facts.by_class else [truth >= 0]
        probabilities = _at(arrays, facts.temperature)
        own, least = (
            np.take_along_axis(scores, truth[:, None], axis=1)[:, 0]
            for scores in (
                _scores(probabilities, facts, arrays),
                conformal.least_ambiguous(probabilities),
            )
        )
        self._least_ambiguous = [np.sort(least[group]) for group in groups]
        self.rows = [int(group.sum()) for group in groups]
        """Calibration rows of each class, or all of them."""
        super().__init__(
            facts,
            column,
            arrays[column],
            errors=(arrays["label"] != truth).astype(np.float64),
            scores=[own[group] for group in groups],
        )

    def columns(self, columns: Columns) -> Columns:
        """Add two columns to those of every calibration.

        Returns
        -------
        Columns
            ``probabilities`` (B, C): the mean at the temperature that fits the calibration rows best.
            ``credibility`` (B,): the conformal p-value of the label, among the calibration rows or those of
            its class if sets are by class. It is that of the least ambiguous sets whichever sets are made,
            since a randomised score tells nothing of a single row.
        """
        probabilities = _at(columns, self.facts.temperature)
        label = columns["label"]
        scores = conformal.least_ambiguous(probabilities)[np.arange(len(label)), label]
        if self.facts.by_class:
            credibility = np.empty(len(scores))
            for code in np.unique(label).tolist():
                rows = label == code
                credibility[rows] = conformal.p_values(scores[rows], self._least_ambiguous[code])
        else:
            credibility = conformal.p_values(scores, self._least_ambiguous[0])
        return {"probabilities": probabilities, "credibility": credibility, **super().columns(columns)}

    def predicted(self, columns: Columns) -> Columns:
        """Add ``probabilities`` (B, C): those without dropout, at a temperature of their own."""
        return {"probabilities": _at(columns, self.facts.deterministic_temperature)}

    def region(self, columns: Columns, coverage: float) -> NDArray[Any]:
        """Tell which classes are in each row's prediction set, shape (B, C).

        The label and classes that are as probable are in every set, and so is a class that has too few
        calibration rows.
        """
        probabilities = columns["probabilities"]
        held: NDArray[np.bool_] = _scores(probabilities, self.facts, columns) <= self.quantiles(coverage)
        held |= probabilities >= np.take_along_axis(probabilities, columns["label"][:, None], axis=1)
        return held


def _scores(probabilities: NDArray[Any], facts: CalibrationFacts, columns: Columns) -> NDArray[np.float64]:
    """Score every class of every row, shape (B, C); the lower the score, the better a class conforms."""
    if facts.randomised:
        return conformal.adaptive(probabilities, columns[CHANCE], regularised=facts.sets == "raps")
    return conformal.least_ambiguous(probabilities)


def _at(columns: Columns, temperature: float | None) -> NDArray[np.float32]:
    assert temperature is not None
    return tempered(columns["mean"], temperature).astype(np.float32)
