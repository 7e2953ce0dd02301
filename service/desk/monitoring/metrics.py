"""The metrics for Prometheus."""

import os
from collections.abc import Sequence
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.registry import Collector

from caveat.service.desk.monitoring.histogram import Histogram

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which nothing here reads

_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"

_MODEL: Final = ("model", "version")

_SECONDS: Final = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0
)  # fmt: skip
_ROWS: Final = tuple(2.0**power for power in range(13))
_PASSES: Final = (10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6)
_FILL: Final = tuple(tenth / 10 for tenth in range(1, 11))
_ENTROPY: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)
_INFORMATION: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0)
_PERCENTILE: Final = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 100)


def share(folder: str) -> None:
    """Make all processes that start from now on share their counts, in the files of a folder."""
    os.environ[_SHARED] = folder
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def forget(worker: int | None) -> None:
    """Note that a worker has ended: its counts stay, its gauges go."""
    multiprocess.mark_process_dead(worker)  # type: ignore[no-untyped-call]


class Metrics:
    """The series of one service. Labels come from routes and loaded models, never from clients."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._histograms: list[Histogram] = []
        ProcessCollector(registry=self._registry)
        self.requests = self._counter("requests", "Requests answered.", ["route", "model", "version", "code"])
        self.seconds = self._histogram(
            "request_seconds",
            "Seconds from a request's beginning to the end of its answer.",
            _SECONDS,
            ["route"],
        )
        self.queue = self._histogram(
            "queue_seconds", "Seconds that rows waited for their first turn of the engine.", _SECONDS, _MODEL
        )
        self.compute = self._histogram(
            "compute_seconds", "Seconds from the first turn to the last, with those of others between.",
            _SECONDS, _MODEL,
        )  # fmt: skip
        self.rows = self._counter("rows", "Rows answered.", _MODEL)
        self.passes = self._counter("passes", "Stochastic passes made, each row counted by itself.", _MODEL)

        self.batch_rows = self._histogram("batch_rows", "Rows in a turn of the engine.", _ROWS)
        self.batch_passes = self._histogram(
            "batch_passes", "Passes in a turn of the engine, each row counted by itself.", _PASSES
        )
        self.batch_fill = self._histogram("batch_fill", "Part of the room of a turn that was used.", _FILL)

        self.queued = self._gauge("queued_requests", "Requests that wait for their first turn.")
        self.admitted = self._gauge("admitted_requests", "Requests for a prediction that are in the service.")
        self.admitted_bytes = self._gauge("admitted_bytes", "Bytes of their bodies.")
        self.admitted_passes = self._gauge("admitted_passes", "Passes that they ask for, over all rows.")
        self.rejected = self._counter("rejected", "Requests that were refused because there was no room.")
        self.expired = self._counter("expired", "Requests that had no answer in time.")
        self.cancelled = self._counter("cancelled", "Requests whose client left before the answer.")

        self.entropy = self._histogram(
            "predictive_entropy_nats", "Total uncertainty of rows.", _ENTROPY, _MODEL
        )
        self.information = self._histogram(
            "mutual_information_nats", "What the model did not know of rows.", _INFORMATION, _MODEL
        )
        self.percentile = self._histogram(
            "percentile", "Where rows stood among those of the calibration, 0 to 100.", _PERCENTILE, _MODEL
        )
        self.judged = self._counter("judged_rows", "Rows that were asked about with a max_error.", _MODEL)
        self.abstained = self._counter("abstained_rows", "Rows of these that were withheld.", _MODEL)
        self.drift = self._gauge("drift", "How much speaks for a drift: see docs/drift.md.", _MODEL)
        self.drift_rows = self._counter("drift_rows", "Rows that were tested for it.", _MODEL)

        self._load_seconds = self._histogram(
            "model_load_seconds", "Seconds to verify, load and warm up a version.", _SECONDS, ["model"]
        )
        self._load_failures = self._counter(
            "model_load_failures", "Versions that could not be loaded, each time it was tried.", _MODEL
        )
        self._failing = self._gauge(
            "model_failing", "1 while the version in the store can't be loaded.", _MODEL, "livemax"
        )
        self._loaded = self._gauge("model_loaded", "1 while the version is loaded.", _MODEL, "livemin")

    def loaded(self, model: str, version: int, seconds: float) -> None:
        """Note that a version was loaded, and how many seconds that took."""
        self._load_seconds.observe(seconds, model)
        self._loaded.labels(model, version).set(1)

    def failing(self, model: str, version: int) -> None:
        """Note that a version could not be loaded."""
        self._load_failures.labels(model, version).inc()
        self._failing.labels(model, version).set(1)

    def recovered(self, model: str, version: int) -> None:
        """Note that a failing version was loaded at last, or is gone."""
        self._failing.labels(model, version).set(0)

    def dropped(self, model: str, version: int) -> None:
        """Note that a version is no longer served."""
        self._loaded.labels(model, version).set(0)

    def text(self) -> bytes:
        """Render all series in Prometheus's text format."""
        if _SHARED not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        together.register(_Together(self._histograms))
        return generate_latest(together)

    def _counter(self, name: str, words: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"caveat_{name}", words, labels, registry=self._registry)

    def _gauge(
        self,
        name: str,
        words: str,
        labels: Sequence[str] = (),
        together: Literal["livesum", "livemax", "livemin"] = "livesum",
    ) -> Gauge:
        """Make a gauge; ``together`` says how the gauges of several workers combine."""
        return Gauge(f"caveat_{name}", words, labels, registry=self._registry, multiprocess_mode=together)

    def _histogram(
        self, name: str, words: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        histogram = Histogram(f"caveat_{name}", words, buckets, labels, self._registry)
        self._histograms.append(histogram)
        return histogram


class _Together(Collector):
    """What all processes have counted, read from their files."""

    def __init__(self, histograms: Sequence[Histogram]) -> None:
        self._histograms = histograms

    def collect(self) -> list[Metric]:
        """Read them, histograms first."""
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        metrics = {metric.name: metric for metric in counted.collect()}
        histograms = [joined for histogram in self._histograms for joined in histogram.join(metrics)]
        return [*histograms, *metrics.values()]
