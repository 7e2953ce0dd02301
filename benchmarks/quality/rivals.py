"""Prediction sets of MAPIE and of crepes from given probabilities."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from crepes import ConformalClassifier
from crepes.extras import hinge
from mapie.classification import SplitConformalClassifier
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

Held = NDArray[np.bool_]
Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

Method = Callable[[Probabilities, Labels, Probabilities, float], Held]
"""Gives the sets of rows (B, C) from probabilities and truths of calibration rows, and those of the rows; a
ValueError if it can't be calibrated on these."""


class Stated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose rows are its probabilities."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.classes_ = np.arange(classes)

    def fit(self, x: Probabilities, y: Labels) -> "Stated":  # noqa: ARG002  # an estimator has it
        """Learn nothing."""
        return self

    def predict_proba(self, x: Probabilities) -> Probabilities:
        """Give the rows."""
        return x

    def predict(self, x: Probabilities) -> Labels:
        """Give the most probable classes."""
        labels: Labels = x.argmax(axis=1)
        return labels


def mapie(score: str, last_label: bool | str | None = None) -> Method:
    """Make the sets of MAPIE; ``last_label`` is its `include_last_label`."""
    options: dict[str, Any] = {} if last_label is None else {"include_last_label": last_label}

    def sets(known: Probabilities, y: Labels, fresh: Probabilities, coverage: float) -> Held:
        classifier = SplitConformalClassifier(
            Stated(known.shape[1]),
            confidence_level=coverage,
            prefit=True,
            conformity_score=score,
            random_state=0,
        )
        with warnings.catch_warnings(action="ignore"):  # few calibration rows miss a class
            classifier.conformalize(known, y)
            _, found = classifier.predict_set(fresh, conformity_score_params=options)
        held: Held = found[:, :, 0].astype(bool)
        return held

    return sets


def crepes(by_class: bool = False) -> Method:
    """Make the sets of crepes by its hinge score, which is that of lac, with smoothed p-values."""

    def sets(known: Probabilities, y: Labels, fresh: Probabilities, coverage: float) -> Held:
        classes = np.arange(known.shape[1])
        scores, asked = hinge(known, classes, y), hinge(fresh)
        fitted = ConformalClassifier().fit(scores, bins=y if by_class else None)
        if not by_class:
            return np.asarray(fitted.predict_set(asked, confidence=coverage, seed=0), bool)
        held = [
            fitted.predict_set(asked[:, [code]], bins=np.full(len(asked), code), confidence=coverage, seed=0)
            for code in classes
        ]
        return np.concatenate(held, axis=1).astype(bool)

    return sets


RIVALS: Mapping[str, Method] = {
    "MAPIE lac": mapie("lac"),
    "MAPIE aps": mapie("aps", True),
    "MAPIE aps, randomised": mapie("aps", "randomized"),
    "MAPIE raps": mapie("raps", True),
    "MAPIE raps, randomised": mapie("raps", "randomized"),
    "crepes hinge": crepes(),
    "crepes hinge, by class": crepes(by_class=True),
}
