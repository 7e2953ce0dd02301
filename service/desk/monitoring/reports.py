"""Collects records of requests, and reports many at once to metrics, log and traces.

Reporting each record by itself would cost a tenth of the answer's time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING

import numpy as np

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.models.predictor import Predictor
from caveat.service.desk.admission import Admission
from caveat.service.desk.batching.batcher import Batcher, Turn
from caveat.service.desk.batching.scores import Scores, finite
from caveat.service.desk.monitoring import log, request_log
from caveat.service.desk.monitoring.alarms import Alarms
from caveat.service.desk.monitoring.metrics import Metrics
from caveat.service.desk.monitoring.record import Outcome, Record
from caveat.service.desk.monitoring.series import Counter

if TYPE_CHECKING:  # needs the extra tracing
    from caveat.service.desk.monitoring.spans import Spans


class Reports:
    """Collects the records of finished requests until `fold` reports them.

    Parameters
    ----------
    metrics
        The metrics to update.
    admission, batcher
        Hold the requests that are not over yet.
    alarms
        Test the answers for drift.
    spans
        Makes the spans of requests; None if tracing is off.
    """

    def __init__(
        self,
        metrics: Metrics,
        admission: Admission,
        batcher: Batcher,
        alarms: Alarms,
        spans: "Spans | None" = None,
    ) -> None:
        self._metrics = metrics
        self._failures: dict[Outcome, Counter] = {
            "full": metrics.rejected,
            "late": metrics.expired,
            "left": metrics.cancelled,
        }
        self._admission = admission
        self._batcher = batcher
        self._alarms = alarms
        self._spans = spans
        self.traced = spans is not None
        """Whether records need a `Trace`."""
        self._records: list[Record] = []

    def enter(self, record: Record) -> None:
        """Take the record of a finished request."""
        self._records.append(record)

    def fold(self) -> None:
        """Report everything since the last call; a fault in one report is logged, and the others go on."""
        records, self._records = self._records, []
        turns, self._batcher.turns = self._batcher.turns, []
        steps: list[Callable[[], None]] = [
            lambda: self._count(records),
            lambda: self._tell(records),
            lambda: self._count_turns(turns),
            lambda: self._alarms.observe(_all_scores(turns)),
            self._measure,
        ]
        for step in steps:
            try:
                step()
            except Exception as error:
                log.failure("untold", "some requests are missing from metrics, log or traces", error)

    def close(self) -> None:
        """Report the last records, and send the last spans."""
        self.fold()
        if self._spans:
            self._spans.flush()

    def _tell(self, records: Sequence[Record]) -> None:
        offset = time() - perf_counter()
        log.lines(request_log.lines(records, offset))
        if self._spans:
            self._spans.add(records, offset)

    def _count(self, records: Sequence[Record]) -> None:
        alike = defaultdict(list)
        for record in records:
            kind = (record.route, record.model, record.version, record.code, record.outcome)
            alike[kind].append(record)
        for (route, model, version, code, outcome), those in alike.items():
            self._metrics.requests.add(len(those), route, model, version, code)
            if seconds := [record.ended - record.began for record in those if record.ended]:
                self._metrics.seconds.observe(seconds, route)
            if outcome in self._failures:
                self._failures[outcome].add(len(those))
            if outcome == "answered" and (rows := sum(record.rows for record in those)):
                self._metrics.rows.add(rows, model, version)
                self._metrics.passes.add(sum(record.passes for record in those), model, version)
            self._count_jobs(model, version, those)

    def _count_jobs(self, model: str, version: int | str, records: Sequence[Record]) -> None:
        """Count how long jobs waited and ran, answered or not."""
        if queued := [seconds for record in records if (seconds := record.queue) is not None]:
            self._metrics.queue.observe(queued, model, version)
        if computed := [record.done - record.taken_up for record in records if record.taken_up]:
            self._metrics.compute.observe(computed, model, version)

    def _count_turns(self, turns: Sequence[Turn]) -> None:
        if not turns:
            return
        self._metrics.batch_rows.observe([turn.rows for turn in turns])
        self._metrics.batch_passes.observe([turn.passes for turn in turns])
        self._metrics.batch_fill.observe([turn.fill for turn in turns])
        alike: dict[tuple[Predictor, tuple[str, ...]], list[Columns]] = defaultdict(list)
        for predictor, _, of_turn in _all_scores(turns):
            alike[predictor, tuple(of_turn)].append(of_turn)
        for (predictor, _), columns in alike.items():
            together = {name: np.concatenate([each[name] for each in columns]) for name in columns[0]}
            self._count_scores(predictor.manifest, finite(together))

    def _count_scores(self, manifest: Manifest, columns: Columns) -> None:
        """Count how uncertain rows were, over all targets where there are several."""
        metrics, model = self._metrics, (manifest.name, manifest.version)
        histograms = {
            "predictive_entropy": metrics.entropy,
            "mutual_information": metrics.information,
            "percentile": metrics.percentile,
        }
        for name in columns.keys() & histograms.keys():
            histograms[name].observe(columns[name], *model)
        if "abstain" in columns:
            abstained = columns["abstain"]
            metrics.judged.add(abstained.size, *model)
            metrics.abstained.add(int(abstained.sum()), *model)

    def _measure(self) -> None:
        """Set the gauges of what is in the service now."""
        self._metrics.queued.set(self._batcher.waiting)
        self._metrics.admitted.set(self._admission.requests)
        self._metrics.admitted_bytes.set(self._admission.bytes)
        self._metrics.admitted_passes.set(self._admission.passes)


def _all_scores(turns: Sequence[Turn]) -> Iterator[Scores]:
    return (scores for turn in turns for scores in turn.scores)
