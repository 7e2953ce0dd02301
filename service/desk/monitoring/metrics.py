"""The metrics for Prometheus."""

from collections.abc import Sequence
from typing import Final, TypeVar

from prometheus_client import ProcessCollector, generate_latest

from caveat.service.desk.monitoring.histogram import Histogram
from caveat.service.desk.monitoring.series import Counter, Gauge, Series, Tally, Together, merged

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


_Kept = TypeVar("_Kept", bound=Series)


class Metrics:
    """The series of one service. Labels come from routes and loaded models, never from clients."""

    def __init__(self) -> None:
        self._series: list[Series] = []
        self._process = ProcessCollector(registry=None)
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
        self._loaded.set(1, model, version)

    def failing(self, model: str, version: int) -> None:
        """Note that a version could not be loaded."""
        self._load_failures.add(1, model, version)
        self._failing.set(1, model, version)

    def recovered(self, model: str, version: int) -> None:
        """Note that a failing version was loaded at last, or is gone."""
        self._failing.set(0, model, version)

    def dropped(self, model: str, version: int) -> None:
        """Note that a version is no longer served."""
        self._loaded.set(0, model, version)

    def changes(self) -> Tally:
        """Give what was touched since the last call, for other processes."""
        return {each.kind: amounts for each in self._series if (amounts := each.changes())}

    def text(self, others: Tally | None = None) -> bytes:
        """Render all series in Prometheus's text format.

        Parameters
        ----------
        others
            Amounts of the other processes of the service; None if there are none.
        """
        tally = merged([{each.kind: each.amounts() for each in self._series}, others or {}])
        lines = [line for each in self._series for line in each.text(tally[each.kind])]
        process = generate_latest(self._process) if others is None else b""
        return process + "".join(lines).encode()

    def _counter(self, name: str, words: str, labels: Sequence[str] = ()) -> Counter:
        return self._keep(Counter(f"caveat_{name}", words, labels))

    def _gauge(
        self, name: str, words: str, labels: Sequence[str] = (), together: Together = "livesum"
    ) -> Gauge:
        return self._keep(Gauge(f"caveat_{name}", words, labels, together))

    def _histogram(
        self, name: str, words: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return self._keep(Histogram(f"caveat_{name}", words, buckets, labels))

    def _keep(self, series: _Kept) -> _Kept:
        self._series.append(series)
        return series
