"""A histogram tells what prometheus-client's own would."""

from math import inf
from typing import Any

import numpy as np
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from caveat.service.desk.monitoring import metrics
from caveat.service.desk.monitoring.histogram import Histogram, written

BUCKETS = (0.1, 1.0, 10.0, 1e6)


def lines(text: str) -> list[str]:
    """Give the lines but for the sums, whose last digits depend on the order of adding."""
    return [line for line in text.splitlines() if not line.startswith("h_sum")]


def told(histogram: Histogram) -> str:
    return "".join(histogram.text(histogram.amounts()))


def value(histogram: Histogram, series: str) -> float:
    """Read the value of a series from the text."""
    (found,) = [line for line in told(histogram).splitlines() if line.startswith(f"{series} ")]
    return float(found.rpartition(" ")[2])


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
@pytest.mark.parametrize("labels", [{}, {"model": 'di"g\\its\n', "version": 2}])
def test_it_tells_what_one_amount_after_the_other_would(amounts: Any, labels: dict[str, Any]) -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    ours = Histogram("h", "some words", BUCKETS, list(labels))
    ours.observe(amounts, *labels.values())
    theirs = CollectorRegistry()
    known = prometheus_client.Histogram("h", "some words", list(labels), registry=theirs, buckets=BUCKETS)
    series = known.labels(**labels) if labels else known
    for amount in np.ravel(amounts).tolist():
        series.observe(amount)
    assert lines(told(ours)) == lines(generate_latest(theirs).decode())
    head = 'h_sum{model="di\\"g\\\\its\\n",version="2"}' if labels else "h_sum"
    assert value(ours, head) == pytest.approx(np.sum(amounts))


def test_nothing_is_told_of_labels_before_there_is_something() -> None:
    histogram = Histogram("h", "some words", BUCKETS, ["model"])
    assert told(histogram).splitlines() == ["# HELP h some words", "# TYPE h histogram"]
    histogram.observe([0.5, -2.0], "digits")
    histogram.observe([-1.0], "digits")
    assert value(histogram, 'h_sum{model="digits"}') == -2.5
    assert value(histogram, 'h_count{model="digits"}') == 3


def test_bounds_are_written_as_prometheus_writes_them() -> None:
    tuples = [value for value in vars(metrics).values() if isinstance(value, tuple)]
    all_buckets = [value for value in tuples if all(isinstance(each, int | float) for each in value)]
    assert len(all_buckets) == 7
    for buckets in all_buckets:
        (family,) = prometheus_client.Histogram("h", "h", registry=None, buckets=buckets).collect()
        theirs = [sample.labels["le"] for sample in family.samples if sample.name == "h_bucket"]
        assert [written(bound) for bound in (*buckets, inf)] == theirs
