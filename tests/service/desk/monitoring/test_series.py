"""Series tell what prometheus-client's own would, and those of several processes add up."""

import pickle

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from caveat.service.desk.monitoring.metrics import Metrics
from caveat.service.desk.monitoring.series import Counter, Gauge, Tally, Together, lasting, merged


@pytest.mark.parametrize("amount", [0, 1, 2.5, 1e6, 123456789, 1e21, 1e-9])
@pytest.mark.parametrize("labels", [(), ("a", 'b"\\\n')])
def test_they_tell_what_those_of_prometheus_would(amount: float, labels: tuple[str, ...]) -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    names, registry = ["one", "two"][: len(labels)], CollectorRegistry()
    counter, gauge = Counter("c", 'a "word"\\', names), Gauge("g", "a\nword", names)
    counter.add(amount, *labels)
    gauge.set(-amount, *labels)
    theirs = prometheus_client.Counter("c", 'a "word"\\', names, registry=registry)
    (theirs.labels(*labels) if labels else theirs).inc(amount)
    other = prometheus_client.Gauge("g", "a\nword", names, registry=registry)
    (other.labels(*labels) if labels else other).set(-amount)
    text = "".join(line for each in (counter, gauge) for line in each.text(each.amounts()))
    assert text == generate_latest(registry).decode()


def test_changes_are_what_was_touched_since() -> None:
    metrics = Metrics()
    assert metrics.changes()  # series without labels are there from the beginning
    metrics.rows.add(3, "digits", 1)
    metrics.rows.add(4, "digits", 1)
    metrics.queue.observe([0.1, 0.2], "digits", 1)
    changes: Tally = pickle.loads(pickle.dumps(metrics.changes()))
    assert {kind.name for kind in changes} == {"caveat_rows", "caveat_queue_seconds"}
    assert changes[metrics.rows.kind] == {("digits", "1"): [7.0]}
    assert metrics.changes() == {}


def tally(requests: float, drift: float, failing: float, loaded: float) -> Tally:
    metrics = Metrics()
    metrics.rows.add(requests, "digits", 1)
    metrics.seconds.observe([0.001] * int(requests), "/predict")
    metrics.drift.set(drift, "digits", 1)
    if failing:
        metrics.failing("digits", 1)
    metrics.loaded("digits", 1, 0.1)
    if not loaded:
        metrics.dropped("digits", 1)
    return metrics.changes()


def test_those_of_several_processes_add_up_and_gauges_end_with_theirs() -> None:
    one, two = tally(3, 10.0, 0, 1), tally(5, 4.0, 1, 0)
    ours = Metrics()
    ours.rows.add(1, "digits", 1)
    text = ours.text(merged([one, two])).decode()
    assert 'caveat_rows_total{model="digits",version="1"} 9.0\n' in text
    assert 'caveat_request_seconds_count{route="/predict"} 8.0\n' in text
    assert 'caveat_drift{model="digits",version="1"} 14.0\n' in text
    assert 'caveat_model_failing{model="digits",version="1"} 1.0\n' in text  # in any
    assert 'caveat_model_loaded{model="digits",version="1"} 0.0\n' in text  # not in all
    after = ours.text(merged([one, lasting(two)])).decode()
    assert 'caveat_rows_total{model="digits",version="1"} 9.0\n' in after
    assert 'caveat_drift{model="digits",version="1"} 10.0\n' in after
    assert "caveat_model_failing{" not in after
    assert 'caveat_model_loaded{model="digits",version="1"} 1.0\n' in after


@pytest.mark.parametrize(
    ("together", "total"), [("sum", 9.0), ("livesum", 9.0), ("livemax", 4.0), ("livemin", 2.0)]
)
def test_each_kind_combines_as_it_says(together: Together, total: float) -> None:
    gauges = [Gauge("g", "words", ["a"], together) for _ in range(3)]
    for gauge, amount in zip(gauges, (2, 4, 3), strict=True):
        gauge.set(amount, "x")
    gauges[1].set(7, "y")
    found = merged([{each.kind: each.amounts()} for each in gauges])
    assert found == {gauges[0].kind: {("x",): [total], ("y",): [7.0]}}
