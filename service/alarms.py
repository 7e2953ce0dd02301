"""Tests of whether the rows that are served are still like those of the calibration, one for each model."""

from collections.abc import Iterable
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from models.drift import Drift, comparable
from models.predictor import Predictor
from service.metrics import Metrics
from service.record import Record

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

    def observe(self, records: Iterable[Record]) -> None:
        """Take the rows of answers that are over, in the order of these."""
        for record in records:
            predictor = record.predictor
            if predictor is None or predictor.calibration is None or not record.scores or not record.asked:
                continue
            if comparable(record.asked, predictor.calibration.facts):
                test = self._tests.get(predictor) or self._begin(predictor)
                test.gather(predictor.calibration.uncertainty_of(record.scores))
        live = {_labels(predictor): test for predictor, test in self._tests.items()}
        for labels, test in live.items():
            self._metrics.drift_rows.labels(*labels).inc(test.take())
            self._metrics.drift.labels(*labels).set(test.drift.value / self._workers)
        for gone in self._told - live.keys():
            self._metrics.drift.labels(*gone).set(0)
        self._told = set(live)

    def _begin(self, predictor: Predictor) -> "_Test":
        assert predictor.calibration is not None
        test = self._tests[predictor] = _Test(Drift(predictor.calibration.uncertainty))
        return test


class _Test:
    """A test, and the rows that it is still to take."""

    def __init__(self, drift: Drift) -> None:
        self.drift = drift
        self._gathered: list[np.ndarray] = []
        self._room = _RATE
        self._since = monotonic()

    def gather(self, uncertainty: np.ndarray) -> None:
        self._gathered.append(uncertainty)

    def take(self) -> int:
        """Take what there is room for; tell how many rows that were."""
        now = monotonic()
        self._room = min(_RATE, self._room + _RATE * (now - self._since))
        self._since = now
        if not self._gathered:
            return 0
        rows = np.concatenate(self._gathered)[: int(self._room)]
        self._gathered.clear()
        self._room -= len(rows)
        if len(rows):
            self.drift.observe(rows)
        return len(rows)


def _labels(predictor: Predictor) -> tuple[str, int]:
    return predictor.manifest.name, predictor.manifest.version
