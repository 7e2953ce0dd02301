"""Reports on many requests at once equal reports on each."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from caveat.models.answers.uncertainty import Columns
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk.batching.batcher import Turn
from caveat.service.desk.batching.scores import Scores
from caveat.service.desk.desk import Desk
from caveat.service.desk.monitoring.record import Record
from caveat.service.settings import Settings
from tests.bundles import linear_regression

LINEAR = Predictor(linear_regression())


@pytest.fixture(autouse=True)
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr("caveat.service.desk.monitoring.log.lines", lines.extend)
    return lines


def record(**facts: Any) -> Record:
    return Record(
        "a1",
        "POST",
        1.0,
        **{"model": "digits", "version": 2, "code": 200, "outcome": "answered", "ended": 1.004, **facts},
    )


def turn(columns: Columns) -> Turn:
    return Turn(1, 100, 1.0, [Scores(LINEAR, Asked(100, 0), columns)])


def folded(records: Sequence[Record], turns: Sequence[Turn] = ()) -> dict[tuple[str, ...], float]:
    desk = Desk(Settings())
    for each in records:
        desk.reports.enter(each)
    desk.batcher.turns.extend(turns)
    desk.reports.fold()
    desk.reports.fold()  # reports nothing twice
    desk.batcher.close()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parsed(desk.metrics.text().decode())
        for sample in family.samples
    }


def test_answers_are_counted() -> None:
    series = folded(
        [
            record(rows=2, passes=200, seed=0, submitted=1.001, taken_up=1.003, done=1.303),
            record(rows=3, submitted=1.0, taken_up=1.0, done=1.001),
            record(rows=1, passes=50, seed=0, submitted=1.0, taken_up=1.0, done=1.001),
            record(rows=9, submitted=1.0, done=1.5, code=504, outcome="late"),
        ]
    )
    model = ("digits", "2")
    assert series["caveat_rows_total", *model] == 6
    assert series["caveat_passes_total", *model] == 250
    assert series["caveat_queue_seconds_count", *model] == 4
    assert series["caveat_queue_seconds_sum", *model] == pytest.approx(0.502)
    assert series["caveat_compute_seconds_count", *model] == 3
    assert series["caveat_compute_seconds_sum", *model] == pytest.approx(0.302)


def test_scores_of_turns_are_counted() -> None:
    entropies = np.array([0.1, np.nan, 0.3], np.float32)
    series = folded(
        [],
        [
            turn({"predictive_entropy": entropies, "percentile": np.array([10.0, 99.5, 97.0])}),
            Turn(3, 0, 1.0),
            turn({"predictive_entropy": entropies[:1], "abstain": np.array([[True, False]])}),
        ],
    )
    model = ("linear", "1")
    assert series["caveat_predictive_entropy_nats_count", *model] == 3
    assert series["caveat_predictive_entropy_nats_sum", *model] == pytest.approx(0.5)
    assert (
        series["caveat_predictive_entropy_nats_bucket", "0.1", *model] == 0
    )  # the float32 value is slightly above 0.1
    assert series["caveat_predictive_entropy_nats_bucket", "0.2", *model] == 2
    assert series["caveat_percentile_bucket", "10.0", *model] == 1
    assert series["caveat_percentile_bucket", "95.0", *model] == 1
    assert series["caveat_percentile_bucket", "99.0", *model] == 2
    assert series["caveat_judged_rows_total", *model] == 2
    assert series["caveat_abstained_rows_total", *model] == 1
    assert ("caveat_mutual_information_nats_count", *model) not in series


def test_failures_are_counted_by_reason() -> None:
    series = folded(
        [record(code=429, outcome="full", ended=0.0)] * 3
        + [record(code=504, outcome="late")] * 2
        + [record(code=400, outcome="left"), record(code=400, outcome="refused")]
    )
    assert series["caveat_rejected_total",] == 3
    assert series["caveat_expired_total",] == 2
    assert series["caveat_cancelled_total",] == 1
    assert series["caveat_requests_total", "429", "digits", "(none)", "2"] == 3
    assert series["caveat_request_seconds_count", "(none)"] == 4  # without requests that were refused unread


def test_turns_are_counted() -> None:
    series = folded([], [Turn(4, 400, 0.25), Turn(1, 0, 1.0), Turn(2, 200, 0.5)])
    for name, total in (("rows", 7), ("passes", 600), ("fill", 1.75)):
        assert series[f"caveat_batch_{name}_count",] == 3
        assert series[f"caveat_batch_{name}_sum",] == total
    assert series["caveat_batch_fill_bucket", "0.9"] == 2


def test_requests_are_logged_in_order(written: list[str]) -> None:
    folded([record(rows=number) for number in range(1, 5)])
    assert [json.loads(line)["rows"] for line in written] == [1, 2, 3, 4]


def test_a_fault_in_one_report_is_logged_and_the_others_go_on(written: list[str]) -> None:
    series = folded([record(rows=1)], [Turn("many", 100, 1.0)])  # type: ignore[arg-type]  # the fault
    assert series["caveat_rows_total", "digits", "2"] == 1
    assert [json.loads(line)["event"] for line in written] == ["request", "untold"]
