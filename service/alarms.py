"""Tests of whether the rows that are served are still like those of the calibration, one for each model."""

from collections.abc import Iterable
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
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
        for predictor, answers in _by_predictor(records).items():
            if predictor.calibration is not None:
                test = self._tests.get(predictor) or self._begin(predictor, predictor.calibration)
                for record in answers:
                    if not test.room:
                        break
                    test.gather(record)
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

    def gather(self, answer: Record) -> None:
        """Take the rows of an answer, as many as there is room for, if they may be compared."""
        if answer.asked and answer.scores and comparable(answer.asked, self._calibration.facts):
            rows = self._calibration.uncertainty_of(answer.scores)[: self.room]
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


def _by_predictor(records: Iterable[Record]) -> dict[Predictor, list[Record]]:
    found: dict[Predictor, list[Record]] = {}
    for record in records:
        if record.predictor is not None and record.asked is not None:
            found.setdefault(record.predictor, []).append(record)
    return found


def _labels(predictor: Predictor) -> tuple[str, int]:
    return predictor.manifest.name, predictor.manifest.version
