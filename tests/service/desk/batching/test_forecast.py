"""What can't end in time is refused at once, and nothing that could."""

import asyncio
import re
from collections.abc import Callable
from time import perf_counter

import numpy as np
import pytest

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.manifest import Cost
from caveat.models.errors import InputError
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk.batching import speed
from caveat.service.desk.batching.forecast import check_in_time
from caveat.service.desk.batching.group import Group, Member
from caveat.service.desk.batching.job import Job
from caveat.service.desk.batching.sizing import Sizing
from caveat.service.desk.refusals import FullError
from tests.bundles import linear_regression

LINEAR = Predictor(linear_regression(), threads=1)
TIMEOUT = 30.0
EACH = 1e-6
"""Seconds for a value of the runs that are measured here."""


def job(rows: int, samples: int | None, tolerance: float = 0.0) -> Job:
    asked = Asked(samples, 0, tolerance=tolerance) if samples else None
    inputs = {"x": np.zeros((rows, 3), np.float32)}
    return Job(LINEAR, inputs, asked, due=perf_counter() + TIMEOUT)


def measured(*each: float, samples: int | None = 100) -> Sizing:
    """Measure runs that took so many seconds for a value."""
    sizing = Sizing()
    for seconds in each:
        like = job(100, samples)  # has more to come after this
        group = Group([Member(like, slice(0, 100))])
        sizing.learn(group, group.load, seconds * group.load)
    return sizing


def rows_of(seconds: float, samples: int | None = 100) -> int:
    """Count the rows that take so long."""
    return int(seconds / EACH / job(1, samples).load)


def tried(work: Callable[[], None]) -> None:
    async def main() -> None:  # jobs need an event loop
        work()

    asyncio.run(main())


def test_what_takes_too_long_alone_is_told_the_most_that_could_end_in_time() -> None:
    def work() -> None:
        sizing = measured(*[EACH] * 100)
        check_in_time(job(rows_of(29), 100), TIMEOUT, (), sizing)
        with pytest.raises(InputError) as found:
            check_in_time(job(rows_of(31), 100), TIMEOUT, (), sizing)
        told = re.fullmatch(
            r"samples: expected at most (\d+) samples for (\d+) rows, or at most (\d+) rows with 100 "
            r"samples, which the 30 s of --timeout allow, got 100 samples for (\d+) rows, which take about "
            r"31 s",
            str(found.value),
        )
        assert told
        samples, rows, fewer, asked = map(int, told.groups())
        assert rows == asked == rows_of(31)
        check_in_time(job(rows, samples), 0.8 * TIMEOUT * 1.01, (), sizing)
        check_in_time(job(fewer, 100), 0.8 * TIMEOUT * 1.01, (), sizing)
        with pytest.raises(InputError):
            check_in_time(job(rows, samples + 1), 0.8 * TIMEOUT, (), sizing)
        with pytest.raises(InputError):
            check_in_time(job(fewer + 1, 100), 0.8 * TIMEOUT * 0.999, (), sizing)

    tried(work)


def test_an_answer_without_dropout_is_told_the_most_rows() -> None:
    def work() -> None:
        sizing = measured(*[1.0] * 100, samples=None)
        with pytest.raises(
            InputError, match=r"inputs: expected at most \d rows, which the 30 s .* got 50 rows"
        ):
            check_in_time(job(50, None), TIMEOUT, (), sizing)
        check_in_time(job(50, 1000), TIMEOUT, (), sizing)  # another kind, whose speed is unknown

    tried(work)


def test_what_nothing_smaller_could_end_in_time_is_told_so() -> None:
    def work() -> None:
        sizing = measured(*[1.0] * 100)
        with pytest.raises(InputError, match="expected a smaller request, which the 30 s"):
            check_in_time(job(50, 100), TIMEOUT, (), sizing)

    tried(work)


def test_only_the_queue_makes_it_a_refusal_to_try_again() -> None:
    def work() -> None:
        sizing = measured(*[EACH] * 100)
        waiting = [job(rows_of(2), 100) for _ in range(10)]
        check_in_time(job(rows_of(9), 100), TIMEOUT, waiting, sizing)
        with pytest.raises(
            FullError, match="20 s of the 30 s of --timeout, and this request 11 s; try again"
        ):
            check_in_time(job(rows_of(11), 100), TIMEOUT, waiting, sizing)
        for each in waiting:  # their clients leave
            each.answer.cancel()
        check_in_time(job(rows_of(11), 100), TIMEOUT, waiting, sizing)

    tried(work)


def test_longer_work_takes_no_more_than_every_second_turn() -> None:
    def work() -> None:
        sizing = measured(*[EACH] * 100)
        waiting = [job(rows_of(29), 100) for _ in range(100)]
        check_in_time(job(rows_of(14), 100), TIMEOUT, waiting, sizing)
        with pytest.raises(FullError):
            check_in_time(job(rows_of(16), 100), TIMEOUT, waiting, sizing)

    tried(work)


def test_the_passes_that_a_tolerance_may_spare_are_not_counted() -> None:
    def work() -> None:
        sizing = measured(*[EACH] * 100)
        check_in_time(job(rows_of(20), 10_000, tolerance=0.1), TIMEOUT, (), sizing)
        with pytest.raises(InputError):
            check_in_time(job(rows_of(31), 10_000, tolerance=0.1), TIMEOUT, (), sizing)
        waiting = [job(rows_of(1), 10_000, tolerance=0.1)]
        check_in_time(job(rows_of(28), 100), TIMEOUT, waiting, sizing)

    tried(work)


def test_without_enough_runs_nothing_is_refused() -> None:
    def work() -> None:
        for runs in (0, 1, 99):
            check_in_time(job(rows_of(1000), 100), TIMEOUT, (), measured(*[EACH] * runs))

    tried(work)


def test_slow_runs_among_faster_ones_refuse_nothing() -> None:
    def work() -> None:
        check_in_time(job(rows_of(14), 100), TIMEOUT, (), measured(*[100 * EACH] * 100, EACH))

    tried(work)


def test_short_work_tells_nothing() -> None:
    """Most of their time is that of any run, however many values it holds."""

    def work() -> None:
        sizing = Sizing()
        for _ in range(100):
            alone = job(1, 2)
            group = Group([Member(alone, alone.take(1))])
            alone.answer.cancel()  # as one that is answered, it has no more to come
            sizing.learn(group, group.load, 4e-3)
        check_in_time(job(1_000_000, 100), TIMEOUT, (), sizing)

    tried(work)


def test_a_slow_time_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused teaches nothing, so the speed of a busy machine must not refuse for ever."""
    now = [1000.0]
    monkeypatch.setattr(speed, "perf_counter", lambda: now[0])

    def work() -> None:
        sizing = measured(*[100 * EACH] * 100)
        with pytest.raises(InputError):
            check_in_time(job(rows_of(1), 100), TIMEOUT, (), sizing)
        now[0] += 50
        with pytest.raises(InputError):
            check_in_time(job(rows_of(1), 100), TIMEOUT, (), sizing)
        now[0] += 75
        check_in_time(job(rows_of(1), 100), TIMEOUT, (), sizing)

    tried(work)


def test_with_a_tolerance_only_fewer_rows_are_named() -> None:
    """Of a row that holds much whatever its passes, as where a large part comes before the first dropout."""
    bundle = linear_regression()
    heavy = bundle.manifest.model_copy(update={"cost": Cost(row=200 * 4, row_pass=4, mask=3)})
    predictor = Predictor(Bundle(heavy, bundle.files), threads=1)

    def heavily(rows: int, samples: int) -> Job:
        inputs = {"x": np.zeros((rows, 3), np.float32)}
        return Job(predictor, inputs, Asked(samples, 0, tolerance=0.1), due=perf_counter() + TIMEOUT)

    def work() -> None:
        sizing = Sizing()
        for _ in range(100):
            group = Group([Member(heavily(100, 200), slice(0, 100))])
            sizing.learn(group, group.load, EACH * group.load)
        for samples in (100, 200, 1000):
            with pytest.raises(InputError, match=r"expected at most \d+ rows with \d+ samples, which"):
                check_in_time(heavily(40_000, samples), TIMEOUT, (), sizing)

    tried(work)
