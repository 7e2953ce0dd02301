"""Takes the records of requests, and tells metrics, log and traces of many at once.

To tell of each by itself would cost a tenth of its answer.
"""

from collections import Counter, defaultdict
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
        metrics = self._metrics
        requests = Counter((record.route, record.model, record.version, record.code) for record in records)
        seconds = defaultdict(list)
        jobs = defaultdict(list)
        for record in records:
            if record.total is not None:
                seconds[record.route].append(record.total)
            if record.queue is not None:
                jobs[record.model, record.version].append(record)
        for labels, count in requests.items():
            metrics.requests.labels(*labels).inc(count)
        for route, amounts in seconds.items():
            observe(metrics.seconds.labels(route), amounts)
        for (model, version), those in jobs.items():
            self._count_jobs(model, version, those)
        metrics.rejected.inc(sum(count for labels, count in requests.items() if labels[-1] == 429))
        metrics.expired.inc(sum(count for labels, count in requests.items() if labels[-1] == 504))
        metrics.cancelled.inc(sum(record.cancelled for record in records))

    def _count_jobs(self, model: str, version: int | str, records: Sequence[Record]) -> None:
        """Count what a version of a model was given to do, and what it answered."""
        metrics = self._metrics
        observe(metrics.queue.labels(model, version), [record.queue or 0.0 for record in records])
        if computed := [record.compute for record in records if record.compute is not None]:
            observe(metrics.compute.labels(model, version), computed)
        if answered := [record for record in records if record.scores is not None]:
            metrics.rows.labels(model, version).inc(sum(record.rows for record in answered))
            metrics.passes.labels(model, version).inc(sum(record.passes for record in answered))
            self._count_scores(model, version, [record.scores for record in answered if record.scores])

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
