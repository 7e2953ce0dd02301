"""Whether work can end in time, by the speed of the runs before: alone, and behind the work that waits."""

from collections.abc import Iterable
from time import perf_counter
from typing import Final

from caveat.models.errors import InputError
from caveat.models.estimates.cohort import FIRST_LOOK
from caveat.service.desk.batching.group import Group
from caveat.service.desk.batching.job import Job
from caveat.service.desk.batching.sizing import SHORT, Sizing
from caveat.service.desk.batching.speed import Speed
from caveat.service.desk.refusals import FullError

_SURE: Final = 0.8
"""Part of the deadline that the most which a refusal names takes."""


def check_in_time(job: Job, timeout: float, waiting: Iterable[Job | Group], sizing: Sizing) -> None:
    """Refuse a job that can't end in time.

    Nothing is refused while the speed of such work is unknown. A tolerance may end the passes early, so that
    only the first of them are counted.

    Parameters
    ----------
    timeout
        Seconds that a request may wait and run.
    waiting
        The jobs and groups that wait already.

    Raises
    ------
    InputError
        If the job alone takes longer than ``timeout``; it names the most that could end in time.
    FullError
        If it could end in time alone, but not behind the work that waits.
    """
    speed = sizing.speed(job.kind)
    if speed is None:
        return
    seconds = speed.each * _hoped(job)
    if seconds < SHORT:
        return
    if seconds > timeout:
        raise _too_long(job, timeout, speed)
    shorter = longer = 0.0
    for entry in waiting:
        known = None if entry.gone else sizing.speed(entry.kind)
        other = known.each * _hoped(entry) if known else 0.0
        if other < seconds:
            shorter += other
        else:
            longer += other
    ahead = shorter + min(longer, shorter + seconds)  # longer jobs have every second turn
    if seconds + ahead > job.due - perf_counter():
        raise FullError(
            f"the work that waits already takes about {ahead:.0f} s of the {timeout:g} s of --timeout, and"
            f" this request {seconds:.0f} s; try again shortly, or ask for fewer rows or samples"
        )


def _hoped(entry: Job | Group) -> float:
    """Count the values that the runs to come hold at least."""
    asked = entry.asked
    if asked is None or not asked.tolerance:
        return entry.left
    if isinstance(entry, Job):
        return entry.waiting * entry.load_of(min(asked.samples, FIRST_LOOK))
    return entry.left * min(1.0, FIRST_LOOK / asked.samples)


def _too_long(job: Job, timeout: float, speed: Speed) -> InputError:
    """Refuse a job, and name the most rows and samples that could end in time."""
    most, hoped = _SURE * timeout / speed.each, _hoped(job)
    got, fitting = _rows(job.rows), []
    if job.asked is not None:
        got = f"{job.samples} samples for {got}"
        fixed = job.load_of(0)  # of a row, whatever the passes
        samples = int((most / job.rows - fixed) / max(1, job.load_of(1) - fixed))
        if samples > 1 and not job.asked.tolerance:  # with one, the first passes alone take too long
            fitting.append(f"at most {samples} samples for {_rows(job.rows)}")
    if rows := int(most / hoped * job.rows):
        fitting.append(f"at most {_rows(rows)}" + (f" with {job.samples} samples" if job.asked else ""))
    return InputError(
        "samples" if job.asked else "inputs",
        f"{', or '.join(fitting) or 'a smaller request'}, which the {timeout:g} s of --timeout allow",
        f"{got}, which take about {speed.each * hoped:.0f} s",
    )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
