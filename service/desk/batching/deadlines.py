"""Deadlines of jobs."""

import asyncio
from time import perf_counter

from caveat.models.answers.uncertainty import Columns
from caveat.service.desk.batching.job import Job
from caveat.service.desk.refusals import LateError


class Deadlines:
    """Waits for answers, and fails jobs at their deadlines.

    One timer serves all jobs: a timer per job would cost more than the passes of many jobs.
    """

    def __init__(self) -> None:
        self._due: dict[Job, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    async def wait(self, job: Job, due: float) -> Columns:
        """Wait for the answer of a job until ``due``, a time of `perf_counter` in seconds.

        Raises
        ------
        LateError
            If there is no answer by then.
        Exception
            The error that the job failed with.
        """
        self._due[job] = due
        if self._timer is None or due < self._next:
            self._look_at(due)
        try:
            return await job.answer
        finally:
            del self._due[job]

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        self._timer = asyncio.get_running_loop().call_later(due - perf_counter(), self._end_those_due)

    def _end_those_due(self) -> None:
        self._timer = None
        now = perf_counter()
        for job, due in self._due.items():
            if due <= now:
                job.fail(_late())
        later = [due for due in self._due.values() if due > now]
        if later:
            self._look_at(min(later))


def _late() -> LateError:
    return LateError(
        "no answer in time: ask for fewer rows or samples, or start the service with a longer --timeout"
    )
