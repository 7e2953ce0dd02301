"""Traces, as a collector receives them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.service.serving import TIMEOUT, Service, caveat, serving, until

ROUTE = "/models/linear/predict/uncertainty"
POINT = [1, 2, 3]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Receives spans over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Span] = []
        self.services: set[str] = set()

    def take(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services.add(attributes(of_resource.resource)["service.name"])
            for of_scope in of_resource.scope_spans:
                self.spans += of_scope.spans

    def wait(self, count: int) -> dict[str, Span]:
        """Wait for spans; return them by name."""
        until(lambda: len(self.spans) >= count)
        return {span.name: span for span in self.spans}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def traced(bundles: Path, **environment: str) -> Iterator[tuple[Service, Collector]]:
    with collecting() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **environment,
        }
        with serving(bundles, **variables) as service:
            yield service, collector


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


def test_a_request_is_a_span_with_children_for_queue_and_computation(bundles: Path) -> None:
    with traced(bundles) as (service, collector):
        headers = {"X-Request-Id": "told", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        before = time.time_ns()
        service.client.post(ROUTE, json={"inputs": [POINT] * 2, "samples": 10, "seed": 7}, headers=headers)
        after = time.time_ns()
        spans = collector.wait(3)
    route = "/models/{name}/predict/uncertainty"
    server, queue, compute = spans[f"POST {route}"], spans["queue"], spans["compute"]
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert server.parent_span_id.hex() == PARENT
    assert queue.parent_span_id == compute.parent_span_id == server.span_id
    assert (server.kind, queue.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL)
    slack = 500_000_000  # two clocks, which a busy machine reads at two times
    assert before - slack < server.start_time_unix_nano <= queue.start_time_unix_nano
    assert queue.start_time_unix_nano < queue.end_time_unix_nano == compute.start_time_unix_nano
    assert server.end_time_unix_nano - server.start_time_unix_nano < after - before
    assert compute.end_time_unix_nano <= server.end_time_unix_nano < after + slack
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.route": route,
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": ROUTE,
        "caveat.request_id": "told",
        "caveat.model": "linear",
        "caveat.version": 1,
        "caveat.rows": 2,
        "caveat.passes": 20,
        "caveat.seed": 7,
    }
    assert collector.services == {"caveat"}


def test_a_failed_request_is_a_span_and_one_without_a_parent_begins_a_trace(bundles: Path) -> None:
    with traced(bundles, OTEL_SERVICE_NAME="risk") as (service, collector):
        service.get("/nothing")
        service.client.get("/models", headers={"traceparent": "none"})
        spans = collector.wait(2)
    assert attributes(spans["GET"])["http.response.status_code"] == 404
    assert spans["GET"].status.code == Status.STATUS_CODE_UNSET  # the client's error
    assert spans["GET"].trace_id != spans["GET /models"].trace_id
    assert not spans["GET /models"].parent_span_id
    assert collector.services == {"risk"}


def test_the_last_spans_are_sent_at_the_end(bundles: Path) -> None:
    with traced(bundles, OTEL_BSP_SCHEDULE_DELAY="60000") as (service, collector):
        service.get("/models")
        service.process.terminate()
        assert service.process.wait(TIMEOUT) == 0
        assert [span.name for span in collector.spans] == ["GET /models"]


def test_environment_variables_choose_the_sampler(bundles: Path) -> None:
    with traced(bundles, OTEL_TRACES_SAMPLER="parentbased_always_off") as (service, collector):
        service.ask(ROUTE, inputs=[POINT])
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        service.client.post(ROUTE, json={"inputs": [POINT]}, headers=headers)
        collector.wait(3)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}


def test_a_missing_collector_does_not_affect_requests(bundles: Path) -> None:
    with serving(
        bundles, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="50"
    ) as service:
        for _ in range(20):
            assert service.ask(ROUTE, inputs=[POINT]).status_code == 200
        service.process.terminate()
        assert service.process.wait(TIMEOUT) == 0
        assert {line["event"] for line in service.complaints()} <= {"log"}


@pytest.mark.parametrize("name", ["OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"])
def test_traces_can_be_turned_off(bundles: Path, name: str) -> None:
    with traced(bundles, **{name: "true" if name == "OTEL_SDK_DISABLED" else "none"}) as (service, collector):
        service.get("/models")
        service.process.terminate()
        service.process.wait(TIMEOUT)
        assert not collector.spans


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_the_extra_the_start_ends_with_one_line(bundles: Path, tmp_path: Path, workers: str) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "sdk.py").touch()  # an empty module hides the real one
    asked = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(tmp_path)}
    ended = caveat("serve", bundles, "--port", "0", "--workers", workers, **asked)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(
        "caveat serve: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT asks for traces, which need"
    )
    assert ended.stderr.endswith("pip install '.[tracing]' in Caveat's folder\n")
    assert ended.stderr.count("\n") == 1


def test_each_worker_sends_its_own_traces(bundles: Path) -> None:
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        variables["OTEL_EXPORTER_OTLP_COMPRESSION"] = "none"
        with serving(bundles, "--workers", "2", **variables) as service:
            for _ in range(20):
                httpx.post(service.url + ROUTE, json={"inputs": [POINT]}, timeout=TIMEOUT)
            collector.wait(60)
    assert len({span.trace_id for span in collector.spans}) == 20
