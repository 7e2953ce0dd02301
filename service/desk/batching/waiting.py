"""Waits for the answers of jobs."""

import asyncio
from contextlib import suppress
from time import perf_counter
from typing import Final

from caveat.models.answers.uncertainty import Columns
from caveat.service.desk.batching.job import Job
from caveat.service.desk.refusals import LateError, LeftError

_LONG: Final = 0.1
"""Seconds of waiting after which a client is watched."""


class Waiting:
    """Waits for answers, and fails jobs at their deadlines or when their clients leave.

    One timer serves all deadlines: a timer per job would cost more than the passes of many jobs. To watch a
    client takes a task, which costs more still, so only clients that have waited for long are watched.
    """

    def __init__(self) -> None:
        self._jobs: set[Job] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    async def answer(self, job: Job) -> Columns:
        """Wait for the answer of a job until it is due.

        Raises
        ------
        LateError
            If there is no answer by then.
        LeftError
            If the client leaves.
        Exception
            The error that the job failed with.
        """
        self._jobs.add(job)
        if self._timer is None or job.due < self._next:
            self._look_at(job.due)
        try:
            return await job.answer
        finally:
            self._jobs.discard(job)
            if job.watch is not None:
                job.watch.cancel()

    def watch(self) -> None:
        """Watch the clients that have waited for long; called several times a second."""
        long_ago = perf_counter() - _LONG
        for job in self._jobs:
            if job.until_left is not None and job.watch is None and job.submitted < long_ago:
                job.watch = asyncio.get_running_loop().create_task(_fail_when_left(job))

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        self._timer = asyncio.get_running_loop().call_later(due - perf_counter(), self._end_those_due)

    def _end_those_due(self) -> None:
        self._timer = None
        now = perf_counter()
        for job in self._jobs:
            if job.due <= now:
                job.fail(late())
        later = [job.due for job in self._jobs if job.due > now]
        if later:
            self._look_at(min(later))


async def _fail_when_left(job: Job) -> None:
    assert job.until_left is not None
    with suppress(Exception):  # it can't be told; the job goes on
        await job.until_left()
        job.fail(LeftError())


def late() -> LateError:
    """Refuse a job that has no answer in time."""
    return LateError(
        "no answer in time: ask for fewer rows or samples, or start the service with a longer --timeout"
    )
