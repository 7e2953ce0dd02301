"""A histogram tells what prometheus-client's own would, in one process and in several."""

import subprocess
import sys
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from caveat.service.desk.monitoring import metrics
from caveat.service.desk.monitoring.histogram import Histogram, written

BUCKETS = (0.1, 1.0, 10.0, 1e6)


def lines(registry: CollectorRegistry) -> list[str]:
    """Give the text but for the sums, whose last digits depend on the order of adding."""
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("h_sum")]


@pytest.mark.parametrize(
    "amounts",
    [
        0.05,
        [],
        [0.1, 0.1, 1.0, 1.0000001, 10.0, 11.0, 1e9, 0.0],
        np.random.default_rng(0).exponential(2.0, (500, 3)),
        np.arange(12, dtype=np.float32).reshape(3, 4),
    ],
)
@pytest.mark.parametrize("labels", [{}, {"model": "digits", "version": 2}])
def test_it_tells_what_one_amount_after_the_other_would(amounts: Any, labels: dict[str, Any]) -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    Histogram("h", "some words", BUCKETS, list(labels), ours).observe(amounts, *labels.values())
    known = prometheus_client.Histogram("h", "some words", list(labels), registry=theirs, buckets=BUCKETS)
    series = known.labels(**labels) if labels else known
    for amount in np.ravel(amounts).tolist():
        series.observe(amount)
    assert lines(ours) == lines(theirs)
    assert ours.get_sample_value("h_sum", {name: str(value) for name, value in labels.items()}) == (
        pytest.approx(np.sum(amounts))
    )


def test_nothing_is_told_of_labels_before_there_is_something() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "some words", BUCKETS, ["model"], registry)
    assert lines(registry) == ["# HELP h some words", "# TYPE h histogram"]
    histogram.observe([0.5, -2.0], "digits")
    histogram.observe([-1.0], "digits")
    assert registry.get_sample_value("h_sum", {"model": "digits"}) == -2.5
    assert registry.get_sample_value("h_count", {"model": "digits"}) == 3


def test_bounds_are_written_as_prometheus_writes_them() -> None:
    tuples = [value for value in vars(metrics).values() if isinstance(value, tuple)]
    all_buckets = [value for value in tuples if all(isinstance(each, int | float) for each in value)]
    assert len(all_buckets) == 7
    for buckets in all_buckets:
        (family,) = prometheus_client.Histogram("h", "h", registry=None, buckets=buckets).collect()
        theirs = [sample.labels["le"] for sample in family.samples if sample.name == "h_bucket"]
        assert [written(bound) for bound in (*buckets, inf)] == theirs


WORKERS = """
import os, sys
import prometheus_client
from caveat.service.desk.monitoring import metrics

metrics.share(sys.argv[1])
ours = metrics.Metrics()
buckets = metrics._SECONDS
theirs = prometheus_client.Histogram("theirs", "words", ["route"], registry=None, buckets=buckets)
for amounts in ([2**-9, 0.25, 99.0], [2**-7], [2**-9]):  # which add up exactly in any order
    if not os.fork():
        ours.seconds.observe(amounts, "/predict")
        for amount in amounts:
            theirs.labels("/predict").observe(amount)
        os._exit(0)
    ended, _ = os.wait()
    metrics.forget(ended)
print(ours.text().decode())
"""


def test_processes_count_together_and_those_that_ended_stay_counted(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WORKERS, str(tmp_path)], capture_output=True, text=True, check=True
    )
    lines = run.stdout.splitlines()
    ours, theirs = (
        {line.removeprefix(name) for line in lines if line.startswith(name)}
        for name in ("caveat_request_seconds", "theirs")
    )
    assert ours == theirs
    assert '_count{route="/predict"} 5.0' in ours
    assert "# TYPE caveat_request_seconds histogram" in lines
    assert not [line for line in lines if "_bucket_total" in line or "bucket counter" in line]
    assert not [line for line in lines if "queue_seconds" in line]  # which nobody has observed
