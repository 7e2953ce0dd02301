"""Which job goes next."""

import asyncio
from collections.abc import Callable, Hashable

import numpy as np

from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk.batching.job import Job
from caveat.service.desk.batching.queue import Queue
from tests.bundles import linear_regression

LINEAR = Predictor(linear_regression(), threads=1)


def job(rows: int, samples: int | None = 100) -> Job:
    asked = Asked(samples, 0) if samples else None
    return Job(LINEAR, {"x": np.zeros((rows, 3), np.float32)}, asked)


def by_load(_: Hashable, load: int) -> float:
    return float(load)


def tried(work: Callable[[], None]) -> None:
    async def main() -> None:  # jobs need an event loop
        work()

    asyncio.run(main())


def test_the_shortest_goes_first_and_longer_ones_begin_every_second_turn() -> None:
    def work() -> None:
        queue = Queue(by_load)
        long = [job(1000) for _ in range(3)]
        middle, short = [job(100) for _ in range(2)], [job(1) for _ in range(3)]
        for each in (*long, *middle, *short):
            queue.add(each)
        order = [queue.begin() for _ in range(8)]
        assert order == [short[0], long[0], short[1], long[1], short[2], long[2], *middle]
        assert queue.begin() is None

    tried(work)


def test_a_short_job_that_comes_during_a_turn_of_long_ones_is_next() -> None:
    def work() -> None:
        queue = Queue(by_load)
        for each in [job(1000) for _ in range(100)]:
            queue.add(each)
        for _ in range(7):
            taken = queue.begin()
            assert taken is not None
            short = job(1)
            queue.add(taken)
            queue.add(short)
            assert queue.begin() is short

    tried(work)


def test_jobs_that_are_about_as_long_go_in_the_order_of_their_arrival() -> None:
    def work() -> None:
        queue = Queue(by_load)
        jobs = [job(rows) for rows in (65, 90, 70, 100, 68)]
        for each in jobs:
            queue.add(each)
        assert [queue.begin() for _ in jobs] == jobs

    tried(work)


def test_the_pace_of_their_kinds_tells_which_is_shorter() -> None:
    def work() -> None:
        quick, slow = job(4000, None), job(1)
        assert quick.left > slow.left
        queue = Queue(lambda kind, load: load * (1e-9 if kind == quick.kind else 1e-6))
        queue.add(slow)
        queue.add(quick)
        assert [queue.begin(), queue.begin()] == [quick, slow]

    tried(work)


def test_jobs_that_are_gone_are_skipped_and_fresh_ones_counted() -> None:
    def work() -> None:
        queue = Queue(by_load)
        jobs = [job(1) for _ in range(4)]
        for each in jobs:
            queue.add(each)
        assert (queue.peek(), queue.fresh, queue.alike()) == (jobs[0], 4, 4)
        for number in (0, 2, 3):
            jobs[number].answer.cancel()
        assert queue.peek() is jobs[1]
        assert queue.begin() is jobs[1]
        assert (queue.peek(), queue.begin(), queue.fresh, queue.alike()) == (None, None, 0, 0)

    tried(work)
