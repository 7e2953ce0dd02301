import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families as parsed

from caveat.models.bundles import store
from tests.bundles import calibrated, linear_regression, linear_targets, tabular
from tests.service.process.wire.raw import ENDLESS, ROOM, UNHURRIED, wire
from tests.service.serving import TIMEOUT, Service, serving, until

ROUTE = "/models/linear/predict/uncertainty"
POINT = [1, 2, 3]


def read(service: Service) -> dict[str, float]:
    """Return the value of every series, by the name and labels in the text."""
    text = httpx.get(f"{service.url}/metrics", timeout=TIMEOUT).text
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if not line.startswith("#")
    }


def test_requests_rows_and_passes_are_counted(bundles: Path) -> None:
    with serving(bundles) as service:
        service.ask("/models/linear/predict", inputs=[POINT] * 3)
        service.ask(ROUTE, inputs=[POINT] * 2, samples=10)
        service.ask("/models/linear/predict", inputs=[[1, 2]])
        for number in range(50):
            service.get(f"/nothing/{number}")
            service.get(f"/models/none{number}")
            service.client.request(f"VERB{number}", "/predict")
        response = service.get("/metrics")
        lines = read(service)
    assert response.headers["Content-Type"].startswith("text/plain")
    linear = 'model="linear"'
    predict = "/models/{name}/predict"
    for code, count in ((200, 1), (422, 1)):
        assert (
            lines[f'caveat_requests_total{{code="{code}",{linear},route="{predict}",version="1"}}'] == count
        )
    assert lines['caveat_rows_total{model="linear",version="1"}'] == 5
    assert lines['caveat_passes_total{model="linear",version="1"}'] == 20
    assert lines['caveat_requests_total{code="404",model="(none)",route="(none)",version="(none)"}'] == 50
    assert lines[f'caveat_request_seconds_count{{route="{predict}"}}'] == 2
    assert lines['caveat_queue_seconds_count{model="linear",version="1"}'] == 2
    assert lines['caveat_compute_seconds_count{model="linear",version="1"}'] == 2
    assert lines["caveat_batch_rows_sum"] == 5
    assert lines["caveat_batch_passes_sum"] == 20
    assert lines["caveat_batch_fill_count"] == 2
    assert "none1" not in response.text
    assert "VERB1" not in response.text
    assert "process_resident_memory_bytes" in lines


def test_uncertainty_is_counted(tmp_path: Path) -> None:
    for bundle in (calibrated(tabular(), rows=400), calibrated(linear_targets()), linear_regression()):
        store.add(tmp_path, bundle)
    with serving(tmp_path) as service:
        features = service.get("/models/tabular").json()["inputs"][0]["features"]
        row = {each["name"]: each["categories"][0] if each["categories"] else 1 for each in features}
        answer = service.ask("/models/tabular/predict/uncertainty", inputs=[row] * 5, max_error=0.45).json()
        service.ask("/models/tabular/predict", inputs=[row])
        (targets,) = {line["name"] for line in service.get("/models").json()["models"]} - {
            "tabular",
            "linear",
        }
        service.ask(f"/models/{targets}/predict/uncertainty", inputs=[POINT] * 3)
        service.ask(ROUTE, inputs=[POINT])
        lines = read(service)
    model = '{model="tabular",version="1"}'
    for name, column in (
        ("predictive_entropy_nats", "predictive_entropy"),
        ("mutual_information_nats", "mutual_information"),
        ("percentile", "percentile"),
    ):
        assert lines[f"caveat_{name}_count{model}"] == 5
        assert abs(lines[f"caveat_{name}_sum{model}"] - sum(answer[column])) < 1e-3
    assert lines[f"caveat_judged_rows_total{model}"] == 5
    assert lines[f"caveat_abstained_rows_total{model}"] == sum(answer["abstain"])
    assert lines[f'caveat_percentile_count{{model="{targets}",version="1"}}'] == 6  # two targets
    for other in (targets, "linear"):
        assert not any(name.startswith("caveat_predictive") and other in name for name in lines)


def test_gauges_and_counts_of_failures_are_exposed(bundles: Path) -> None:
    with serving(bundles, "--max-pending", "1", *UNHURRIED) as service:
        with wire(service) as leaving:
            leaving.send(ENDLESS)
            until(lambda: read(service)["caveat_admitted_requests"] == 1)
            until(lambda: read(service)["caveat_queued_requests"] == 0)  # it runs
            lines = read(service)
            assert lines["caveat_admitted_passes"] == 10**10
            assert lines["caveat_admitted_bytes"] > 50
            late = {"X-Request-Id": "late"}
            refused = httpx.post(service.url + ROUTE, json={"inputs": [POINT]}, headers=late, timeout=TIMEOUT)
            assert refused.status_code == 429
            assert refused.headers["X-Request-Id"] == refused.json()["request_id"] == "late"
        until(lambda: read(service)["caveat_cancelled_total"] == 1)
        lines = read(service)
        (line,) = [line for line in service.events("request") if line["id"] == "late"]
    assert (line["code"], line["detail"]) == (429, refused.json()["detail"])
    assert (lines["caveat_rejected_total"], lines["caveat_expired_total"]) == (1, 0)
    assert_empty(lines)


def test_what_had_no_answer_in_time_is_told(bundles: Path) -> None:
    with serving(bundles, "--timeout", "0.2", *ROOM) as service:
        assert service.ask(ROUTE, inputs=[POINT] * 10, samples=10**9).status_code == 504
        lines = read(service)
    assert (lines["caveat_rejected_total"], lines["caveat_expired_total"]) == (0, 1)
    assert_empty(lines)


def assert_empty(lines: dict[str, float]) -> None:
    """Check that nothing is in the service."""
    assert lines["caveat_admitted_requests"] == lines["caveat_admitted_passes"] == 0
    assert lines["caveat_admitted_bytes"] == 0


def test_workers_share_counts_and_gauges_of_a_killed_worker_go(bundles: Path) -> None:
    with serving(bundles, "--workers", "2", *UNHURRIED) as service:
        with ThreadPoolExecutor(1) as clients:
            long = clients.submit(service.ask, ROUTE, inputs=[POINT] * 10, samples=10**9)
            until(lambda: read(service)["caveat_admitted_requests"] == 1)
            until(lambda: read(service)["caveat_admitted_passes"] == 10**10)
            (busy,) = workers_that_compute(service)
            os.kill(busy, signal.SIGKILL)
            assert isinstance(long.exception(), httpx.TransportError)
        until(lambda: read(service)["caveat_admitted_requests"] == 0)
        before = read(service)["caveat_batch_rows_sum"]  # includes turns of the killed worker
        for _ in range(30):
            httpx.post(service.url + ROUTE, json={"inputs": [POINT]}, timeout=TIMEOUT)
        name = 'caveat_rows_total{model="linear",version="1"}'
        until(lambda: read(service).get(name) == 30)
        until(lambda: read(service)["caveat_batch_rows_sum"] == before + 30)


def workers_that_compute(service: Service) -> list[int]:
    """Find the workers that use CPU time."""
    pid = service.process.pid
    workers = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def used() -> list[int]:
        return [
            int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11]) for each in workers
        ]

    before = used()
    while max(now := [after - first for after, first in zip(used(), before, strict=True)]) < 30:
        time.sleep(0.1)
    return [worker for worker, ticks in zip(workers, now, strict=True) if ticks == max(now)]


def test_the_text_has_the_format_of_prometheus(service: Service) -> None:
    families = {family.name: family for family in parsed(service.get("/metrics").text)}
    assert families["caveat_requests"].type == "counter"
    assert families["caveat_queue_seconds"].type == "histogram"
    assert families["caveat_admitted_requests"].type == "gauge"
    assert all(family.documentation for family in families.values())
