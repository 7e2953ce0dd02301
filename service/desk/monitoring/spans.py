"""Spans for traces, made from the records of finished requests."""

from collections.abc import Iterable
from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from caveat import __version__
from caveat.service.desk.monitoring.record import ELSEWHERE, Record
from caveat.service.desk.monitoring.request_log import level

_WAIT: Final = 3.0
"""Seconds for which `Spans.flush` waits for the last spans to be sent; the exporter would wait ten."""


class Spans:
    """Makes a span for each request, with child spans for its time in the queue and its computation."""

    def __init__(self) -> None:
        resource = Resource.create()  # reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "caveat"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("caveat", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def add(self, records: Iterable[Record], offset: float) -> None:
        """Make the spans of requests.

        Parameters
        ----------
        offset
            Seconds to add to a record's times to get seconds since 1970.
        """
        for record in records:
            self._add(record, offset)

    def flush(self) -> None:
        """Send all spans, for some seconds at most."""
        sending = Thread(target=self._provider.force_flush, daemon=True)
        sending.start()
        sending.join(_WAIT)

    def _add(self, record: Record, offset: float) -> None:
        began = record.began + offset
        span = self._tracer.start_span(
            f"{record.method} {record.route}" if record.route is not ELSEWHERE else record.method,
            self._parent(record),
            SpanKind.SERVER,
            _attributes(record),
            start_time=_nanoseconds(began),
        )
        if span.is_recording():
            if level(record.outcome) == "error":
                span.set_status(StatusCode.ERROR, record.detail)
            below = set_span_in_context(span, Context())
            start = record.submitted + offset
            for name, seconds in (("queue", record.queue), ("compute", record.compute)):
                if seconds is not None:
                    part = self._tracer.start_span(name, below, start_time=_nanoseconds(start))
                    start += seconds
                    part.end(_nanoseconds(start))
        span.end(_nanoseconds(began + (record.total or 0.0)))

    def _parent(self, record: Record) -> Context:
        return self._propagator.extract(record.trace.parent if record.trace else {}, Context())


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _attributes(record: Record) -> dict[str, AttributeValue]:
    """Give the door's attributes, and the desk's, which are named ``caveat.*``."""
    attributes: dict[str, AttributeValue] = {"caveat.request_id": record.id}
    if record.trace:
        attributes |= record.trace.attributes
    if record.model is not ELSEWHERE:
        attributes |= {"caveat.model": record.model, "caveat.version": record.version}
    if record.rows:
        attributes["caveat.rows"] = record.rows
    if record.seed is not None:
        attributes |= {"caveat.passes": record.passes, "caveat.seed": record.seed}
    return attributes
