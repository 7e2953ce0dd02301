"""Prediction sets and intervals equal those of MAPIE on the same numbers."""

import numpy as np
from mapie.classification import SplitConformalClassifier
from mapie.regression import SplitConformalRegressor
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from caveat.models.answers import conformal

LEVELS = [0.8, 0.9, 0.95]


class Stated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose rows are its probabilities."""

    def __init__(self) -> None:
        self.classes_ = np.arange(4)

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Stated":
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        labels: np.ndarray = x.argmax(axis=1)
        return labels


class Predicted(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A regression whose rows are its predictions."""

    def __init__(self) -> None:
        self.fitted_ = True

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Predicted":
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x[:, 0]


def test_sets_equal_those_of_mapie() -> None:
    generator = np.random.default_rng(0)
    powers = np.exp(generator.normal(0, 2, (1500, 4)))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    y = (generator.random((1500, 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    theirs = SplitConformalClassifier(
        Stated(), confidence_level=LEVELS, prefit=True, conformity_score="lac", random_state=0
    ).conformalize(probabilities[:500], y[:500])
    _, expected = theirs.predict_set(probabilities[500:])
    scores = np.sort(conformal.least_ambiguous(probabilities[:500])[np.arange(500), y[:500]])
    for place, level in enumerate(LEVELS):
        found = conformal.least_ambiguous(probabilities[500:]) <= conformal.quantile(scores, level)
        np.testing.assert_array_equal(found, expected[:, :, place])


def test_intervals_equal_those_of_mapie() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(0, 3, (700, 1))
    y = x[:, 0] + generator.normal(0, 1, 700)
    theirs = SplitConformalRegressor(Predicted(), confidence_level=LEVELS, prefit=True)
    _, expected = theirs.conformalize(x[:300], y[:300]).predict_interval(x[300:])
    scores = np.sort(np.abs(y[:300] - x[:300, 0]))
    for place, level in enumerate(LEVELS):
        reach = conformal.quantile(scores, level)
        np.testing.assert_allclose(expected[:, 0, place], x[300:, 0] - reach)
        np.testing.assert_allclose(expected[:, 1, place], x[300:, 0] + reach)
