"""Drift alarms: a test per model of whether served rows still look like its calibration rows."""

from collections.abc import Iterable
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.drift.drift import Drift, comparable
from caveat.models.predictor import Predictor
from caveat.models.tasks.calibration import Calibration
from caveat.service.desk.batching.scores import Scores, finite
from caveat.service.desk.monitoring.metrics import Metrics

_RATE: Final = 200.0
"""Rows tested per second; of more, the first are tested, so that the choice does not depend on the rows."""


class Alarms:
    """Tests served rows for drift, and sets the metrics of drift.

    Parameters
    ----------
    workers
        Number of workers. Each tests its own rows; the metric is the average over the workers.
    """

    def __init__(self, metrics: Metrics, workers: int) -> None:
        self._metrics = metrics
        self._workers = workers
        self._tests: WeakKeyDictionary[Predictor, _Test] = WeakKeyDictionary()  # a test ends with its model
        self._told: set[tuple[str, int]] = set()

    def observe(self, scores: Iterable[Scores]) -> None:
        """Test the rows of some answers, in their order."""
        for each in scores:
            if calibration := each.predictor.calibration:
                test = self._tests.get(each.predictor) or self._begin(each.predictor, calibration)
                if test.room and comparable(each.asked, calibration.facts):
                    test.gather(each.columns)
        live = {_labels(predictor): test for predictor, test in self._tests.items()}
        for labels, test in live.items():
            self._metrics.drift_rows.add(test.take(), *labels)
            self._metrics.drift.set(test.drift.value / self._workers, *labels)
        for gone in self._told - live.keys():
            self._metrics.drift.set(0, *gone)
        self._told = set(live)

    def _begin(self, predictor: Predictor, calibration: Calibration) -> "_Test":
        test = self._tests[predictor] = _Test(calibration)
        return test


class _Test:
    """A test of drift, and the rows that are waiting for it."""

    def __init__(self, calibration: Calibration) -> None:
        self.drift = Drift(calibration.uncertainty)
        self._calibration = calibration
        self._gathered: list[NDArray[np.float64]] = []
        self._may = _RATE
        self._since = monotonic()

    @property
    def room(self) -> int:
        """Number of rows that `gather` still takes."""
        return int(self._may)

    def gather(self, columns: Columns) -> None:
        """Take comparable rows for the test, as many as there is room for."""
        rows = self._calibration.uncertainty_of(finite(columns))[: self.room]
        self._may -= len(rows)
        self._gathered.append(rows)

    def take(self) -> int:
        """Test the gathered rows; return how many there were."""
        rows, self._gathered = self._gathered, []
        now = monotonic()
        self._may = min(_RATE, self._may + _RATE * (now - self._since))
        self._since = now
        if rows:
            self.drift.observe(np.concatenate(rows))
        return sum(map(len, rows))


def _labels(predictor: Predictor) -> tuple[str, int]:
    return predictor.manifest.name, predictor.manifest.version
