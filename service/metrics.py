"""What Prometheus is told."""

import os
from functools import cache
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    multiprocess,
    values,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which nothing here reads

ELSEWHERE = "(none)"
"""The route of a request that no route took, and the model of one that asked none."""


_SHARED = "PROMETHEUS_MULTIPROC_DIR"


def share(folder: str) -> None:
    """Let all processes that begin from now on count together, in the files of a folder."""
    os.environ[_SHARED] = folder
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def forget(worker: int | None) -> None:
    """Tell that a process which counted has ended; what it counted stays."""
    multiprocess.mark_process_dead(worker)  # type: ignore[no-untyped-call]


class Metrics:
    """The counters of one service. Labels come from routes and loaded models, never from clients."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "caveat_requests",
            "Requests answered.",
            ["route", "model", "version", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "caveat_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            registry=self._registry,
        )
        self._rows = Counter("caveat_rows", "Rows answered.", ["model", "version"], registry=self._registry)
        self._passes = Counter(
            "caveat_passes",
            "Stochastic passes made, each row counted by itself.",
            ["model", "version"],
            registry=self._registry,
        )

        self._load_seconds = Histogram(
            "caveat_model_load_seconds",
            "Seconds to verify, load and warm up a version.",
            ["model"],
            registry=self._registry,
        )
        self._load_failures = Counter(
            "caveat_model_load_failures",
            "Versions that could not be loaded, each time it was tried.",
            ["model", "version"],
            registry=self._registry,
        )
        self._failing = Gauge(
            "caveat_model_failing",
            "1 while the version in the store can't be loaded.",
            ["model", "version"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._loaded = Gauge(
            "caveat_model_loaded",
            "1 while the version is loaded.",
            ["model", "version"],
            registry=self._registry,
            multiprocess_mode="livemin",
        )

        # Looking a series up takes longer than counting; there are few, whatever clients send.
        self._request = cache(self._requests.labels)
        self._duration = cache(self._seconds.labels)
        self._row = cache(self._rows.labels)
        self._pass = cache(self._passes.labels)

    def answered(self, scope: Scope, code: int, seconds: float) -> None:
        """Count a request whose answer is complete."""
        state = scope["state"]
        route = state.get("route") or getattr(scope.get("route"), "path", ELSEWHERE)
        model, version = state.get("model", (ELSEWHERE, ELSEWHERE))
        self._request(route, model, version, code).inc()
        self._duration(route).observe(seconds)

    def refused(self, route: str, code: int, count: int) -> None:
        """Count requests that were refused unread: no model was looked for, and no time taken."""
        self._request(route, ELSEWHERE, ELSEWHERE, code).inc(count)

    def worked(self, model: str, version: int, rows: int, passes: int) -> None:
        """Count the work of an answer."""
        self._row(model, version).inc(rows)
        self._pass(model, version).inc(passes)

    def loaded(self, model: str, version: int, seconds: float) -> None:
        """Tell that a version has been loaded, and how long it took."""
        self._load_seconds.labels(model).observe(seconds)
        self._loaded.labels(model, version).set(1)

    def failing(self, model: str, version: int) -> None:
        """Tell that a version could not be loaded."""
        self._load_failures.labels(model, version).inc()
        self._failing.labels(model, version).set(1)

    def recovered(self, model: str, version: int) -> None:
        """Tell that a version which could not be loaded has been, or is gone."""
        self._failing.labels(model, version).set(0)

    def dropped(self, model: str, version: int) -> None:
        """Tell that a version is no longer served."""
        self._loaded.labels(model, version).set(0)

    def text(self) -> bytes:
        """Render all counters in Prometheus's text format."""
        if _SHARED not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


class MetricsMiddleware:
    """Counts and times every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it once its answer is complete."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        code = 500
        start = perf_counter()

        async def watch(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            self.metrics.answered(scope, code, perf_counter() - start)
