"""Takes the records of requests, and tells metrics, log and traces of many at once.

To tell of each by itself would cost a tenth of its answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import Histogram

from models.uncertainty import Columns
from service import journal, logs
from service.alarms import Alarms
from service.batcher import Batcher
from service.door import Door
from service.metrics import Metrics, observe
from service.record import Record

if TYPE_CHECKING:  # it needs an extra
    from service.traces import Traces


class Ledger:
    """What requests leave behind, until it is folded into what is told of them.

    Parameters
    ----------
    door, batcher
        Hold the requests that are not over yet.
    alarms
        Look for drift in what was answered.
    traces
        Where spans go, if any are made.
    """

    def __init__(
        self,
        metrics: Metrics,
        door: Door,
        batcher: Batcher,
        alarms: Alarms,
        traces: "Traces | None" = None,
    ) -> None:
        self._metrics = metrics
        self._door = door
        self._batcher = batcher
        self._alarms = alarms
        self._traces = traces
        self._records: list[Record] = []

    def enter(self, record: Record) -> None:
        """Take the record of a request that is over."""
        self._records.append(record)

    def fold(self) -> None:
        """Tell of all that has happened since the last time."""
        records, self._records = self._records, []
        if records:
            offset = time() - perf_counter()
            self._count(records)
            logs.lines(journal.lines(records, offset))
            if self._traces:
                self._traces.add(records, offset)
        self._alarms.observe(records)
        self._count_turns()
        self._measure()

    def close(self) -> None:
        """Tell of the last ones."""
        self.fold()
        if self._traces:
            self._traces.close()

    def _count(self, records: Sequence[Record]) -> None:
        alike = defaultdict(list)
        for record in records:
            alike[record.route, record.model, record.version, record.code].append(record)
        for (route, model, version, code), those in alike.items():
            self._metrics.requests.labels(route, model, version, code).inc(len(those))
            if seconds := [record.total for record in those if record.total is not None]:
                observe(self._metrics.seconds.labels(route), seconds)
            if code == 200:
                self._count_answers(model, version, those)
            else:
                self._count_failures(code, those)
            self._count_jobs(model, version, those)

    def _count_failures(self, code: int, records: Sequence[Record]) -> None:
        if code == 429:
            self._metrics.rejected.inc(len(records))
        elif code == 504:
            self._metrics.expired.inc(len(records))
        else:
            self._metrics.cancelled.inc(sum(record.cancelled for record in records))

    def _count_jobs(self, model: str, version: int | str, records: Sequence[Record]) -> None:
        """Count how long rows waited and ran, whatever became of them."""
        if queued := [record.queue for record in records if record.queue is not None]:
            observe(self._metrics.queue.labels(model, version), queued)
        if computed := [record.compute for record in records if record.compute is not None]:
            observe(self._metrics.compute.labels(model, version), computed)

    def _count_answers(self, model: str, version: int | str, records: Sequence[Record]) -> None:
        if scores := [record.scores for record in records if record.scores is not None]:
            self._metrics.rows.labels(model, version).inc(sum(record.rows for record in records))
            self._metrics.passes.labels(model, version).inc(sum(record.passes for record in records))
            self._count_scores(model, version, scores)

    def _count_scores(self, model: str, version: int | str, answers: Sequence[Columns]) -> None:
        """Count how uncertain rows were, in the order of their answers; of several targets, each."""
        metrics = self._metrics
        histograms: Iterable[tuple[str, Histogram]] = (
            ("predictive_entropy", metrics.entropy),
            ("mutual_information", metrics.information),
            ("percentile", metrics.percentile),
        )
        for name, histogram in histograms:
            if columns := [columns[name] for columns in answers if name in columns]:
                observe(histogram.labels(model, version), np.concatenate(columns, axis=None))
        if judged := [columns["abstain"] for columns in answers if "abstain" in columns]:
            abstained = np.concatenate(judged, axis=None)
            metrics.judged.labels(model, version).inc(abstained.size)
            metrics.abstained.labels(model, version).inc(int(abstained.sum()))

    def _count_turns(self) -> None:
        turns, self._batcher.turns = self._batcher.turns, []
        if turns:
            rows, passes, fills = zip(*turns, strict=True)
            observe(self._metrics.batch_rows, rows)
            observe(self._metrics.batch_passes, passes)
            observe(self._metrics.batch_fill, fills)

    def _measure(self) -> None:
        """Tell what is in the service now."""
        self._metrics.queued.set(self._batcher.waiting)
        self._metrics.admitted.set(self._door.requests)
        self._metrics.admitted_bytes.set(self._door.bytes)
        self._metrics.admitted_passes.set(self._door.passes)
