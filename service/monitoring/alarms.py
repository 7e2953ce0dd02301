"""Tests of whether the rows that are served are still like those of the calibration, one for each model."""

from collections.abc import Iterable
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.calibration import Calibration
from caveat.models.answers.uncertainty import Columns
from caveat.models.drift.drift import Drift, comparable
from caveat.models.predictor import Predictor
from caveat.service.batching.scores import Scores, finite
from caveat.service.monitoring.metrics import Metrics

_RATE: Final = 200.0
"""Rows that are tested in a second; of more, the first ones, whatever is in them."""


class Alarms:
    """Tells the metrics how much speaks for a drift.

    Parameters
    ----------
    workers
        Processes that serve, each with tests of its own; the metric is their average.
    """

    def __init__(self, metrics: Metrics, workers: int) -> None:
        self._metrics = metrics
        self._workers = workers
        self._tests: WeakKeyDictionary[Predictor, _Test] = WeakKeyDictionary()  # ends with its model
        self._told: set[tuple[str, int]] = set()

    def observe(self, scores: Iterable[Scores]) -> None:
        """Take the rows that have been judged, in their order."""
        for each in scores:
            if calibration := each.predictor.calibration:
                test = self._tests.get(each.predictor) or self._begin(each.predictor, calibration)
                if test.room and comparable(each.asked, calibration.facts):
                    test.gather(each.columns)
        live = {_labels(predictor): test for predictor, test in self._tests.items()}
        for labels, test in live.items():
            self._metrics.drift_rows.labels(*labels).inc(test.take())
            self._metrics.drift.labels(*labels).set(test.drift.value / self._workers)
        for gone in self._told - live.keys():
            self._metrics.drift.labels(*gone).set(0)
        self._told = set(live)

    def _begin(self, predictor: Predictor, calibration: Calibration) -> "_Test":
        test = self._tests[predictor] = _Test(calibration)
        return test


class _Test:
    """A test, and the rows that it is to take next."""

    def __init__(self, calibration: Calibration) -> None:
        self.drift = Drift(calibration.uncertainty)
        self._calibration = calibration
        self._gathered: list[NDArray[np.float64]] = []
        self._may = _RATE
        self._since = monotonic()

    @property
    def room(self) -> int:
        """Rows that may be gathered."""
        return int(self._may)

    def gather(self, columns: Columns) -> None:
        """Take rows that may be compared, as many as there is room for."""
        rows = self._calibration.uncertainty_of(finite(columns))[: self.room]
        self._may -= len(rows)
        self._gathered.append(rows)

    def take(self) -> int:
        """Test what was gathered; tell how many rows that were."""
        rows, self._gathered = self._gathered, []
        now = monotonic()
        self._may = min(_RATE, self._may + _RATE * (now - self._since))
        self._since = now
        if rows:
            self.drift.observe(np.concatenate(rows))
        return sum(map(len, rows))


def _labels(predictor: Predictor) -> tuple[str, int]:
    return predictor.manifest.name, predictor.manifest.version
