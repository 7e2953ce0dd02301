"""What the supervisor keeps of the counts of its workers."""

from caveat.service.desk.monitoring.series import Kind
from caveat.service.process.counts import Counts

ROWS, DRIFT = Kind("rows", "sum"), Kind("drift", "livesum")


def test_a_worker_gets_what_the_others_have_counted_last() -> None:
    counts = Counts()
    counts.take("one", {ROWS: {("digits",): [3.0]}, DRIFT: {("digits",): [0.5]}})
    counts.take("two", {ROWS: {("digits",): [10.0], ("wine",): [1.0]}})
    counts.take("one", {ROWS: {("digits",): [4.0]}})
    assert counts.others("two") == {ROWS: {("digits",): [4.0]}, DRIFT: {("digits",): [0.5]}}
    assert counts.others("one") == {ROWS: {("digits",): [10.0], ("wine",): [1.0]}}


def test_of_a_worker_that_has_ended_the_counts_stay_and_the_gauges_go() -> None:
    counts = Counts()
    for life in range(3):
        counts.take(life, {ROWS: {("digits",): [3.0]}, DRIFT: {("digits",): [0.5]}})
        counts.end(life)
    counts.end("one that never counted")
    assert counts.others("new") == {ROWS: {("digits",): [9.0]}}
