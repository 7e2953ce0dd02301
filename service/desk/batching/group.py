"""Groups: rows of one or several jobs that run together."""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.answer import complete, predicted
from caveat.models.estimates.cohort import Asked, Cohort
from caveat.service.desk.batching.job import Job, Piece
from caveat.service.desk.batching.scores import Scores, scores


@dataclass(frozen=True)
class Member:
    """Consecutive rows of a job."""

    job: Job
    rows: slice

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.rows.stop - self.rows.start)


class Group:
    """Rows that run together, step by step, until each has its answer.

    Parameters
    ----------
    members
        Rows of jobs with equal keys.
    at_once
        Most rows of a step that settles which rows go on together, see `Cohort.step`; by default all.
    """

    def __init__(self, members: Sequence[Member], at_once: int | None = None) -> None:
        self.members = members
        self._starts = list(accumulate((member.count for member in members), initial=0))
        self._cohort: Cohort | None = None
        self._common: Asked | None = None  # what all jobs ask for, if all ask for the same
        self._done = False
        self.at_once = at_once or self._starts[-1]
        self.passes_at_once: int | None = None
        """Most passes of a step; None for as many as a run may hold."""
        self.left = sum(member.count * member.job.load for member in members)
        """Number of values that the runs to come hold."""
        self.number = 0
        """Its number in the order of the queue."""
        self.scores: Sequence[Scores] = ()
        """Scores of the rows that the last step finished."""

    waiting = 1
    """Units that a turn has yet to take, as `Job.waiting` counts rows: a turn takes a whole group."""

    @property
    def count(self) -> int:
        """Number of rows."""
        return self._starts[-1]

    @property
    def gone(self) -> bool:
        """Whether the group is done, or all of its jobs are gone."""
        return self._done or all(member.job.gone for member in self.members)

    @property
    def fresh(self) -> bool:
        """Whether no step has been made yet."""
        return self._cohort is None and not self._done

    @property
    def asked(self) -> Asked | None:
        """What the first job asks for."""
        return self.members[0].job.asked

    @property
    def kind(self) -> Hashable:
        """See `Job.kind`."""
        return self.members[0].job.kind

    @property
    def most(self) -> int:
        """See `Job.most`."""
        return self.members[0].job.most

    @property
    def due(self) -> float:
        """When the last of its jobs is due that is not gone, by `perf_counter`."""
        if len(self.members) == 1:
            return self.members[0].job.due
        return max((member.job.due for member in self.members if not member.job.gone), default=-math.inf)

    @property
    def rows(self) -> int:
        """Number of rows of the next step."""
        if self._cohort is None:
            return min(self._starts[-1], self.at_once)
        return self._cohort.next_rows(self.at_once)

    @property
    def chunk(self) -> int:
        """See `Cohort.chunk`."""
        return 0 if self._cohort is None else self._cohort.chunk

    @property
    def settled(self) -> bool:
        """Whether the rows of each step to come are settled; see `Cohort.passed`."""
        return self._cohort is not None and self._cohort.passed

    @property
    def passes(self) -> int:
        """Number of passes made so far, summed over the rows."""
        return 0 if self._cohort is None else self._cohort.passes

    @property
    def load(self) -> int:
        """Number of values that the next step holds in memory."""
        job, passes = self.members[0].job, self.passes_at_once
        if self._cohort is not None:
            held = self.rows * job.load_of(self._cohort.next_passes(passes))
        elif passes is not None and passes < job.samples:
            held = self.rows * job.load_of(passes)
        elif len(self.members) == 1:
            held = self.rows * job.load
        else:
            held = sum(member.count * member.job.load for member in self.members if not member.job.gone)
        return min(held, self.most)

    def step(self) -> list[tuple[Job, Piece]]:
        """Run once; return the finished rows, each piece with its job."""
        self.scores = ()
        job = self.members[0].job
        if job.asked is None:
            columns = predicted(job.predictor, self._inputs())
            self._done = True
            return list(self._dealt(np.arange(self._starts[-1]), columns))
        if self._cohort is None:
            self._cohort = self._gathered()
        self._leave_those_who_have_gone(self._cohort)
        if not self.rows:
            self._done = True
            return []
        rows, columns = self._cohort.step(self.at_once, self.passes_at_once)
        self._done = not self.rows
        if not len(rows):
            return []
        # One call for all rows where the jobs ask for the same: a call per job takes several times as long.
        if self._common is not None:
            columns = complete(job.predictor, self._common, columns)
            self.scores = [scores(job.predictor, self._common, columns)]
            return list(self._dealt(rows, columns))
        pieces = [
            (job, (places, complete(job.predictor, job.asked, piece)))
            for job, (places, piece) in self._dealt(rows, columns)
            if job.asked
        ]
        self.scores = [scores(job.predictor, job.asked, piece) for job, (_, piece) in pieces if job.asked]
        return pieces

    def apart(self) -> list["Group"]:
        """Make a group of each member, so that the rows of one job can't fail another job."""
        return [Group([member]) for member in self.members]

    def fail(self, error: Exception) -> None:
        """Fail all jobs of the group."""
        self._done = True
        for member in self.members:
            member.job.fail(error)

    def _inputs(self) -> Inputs:
        parts = [
            {name: array[member.rows] for name, array in member.job.inputs.items()} for member in self.members
        ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _gathered(self) -> Cohort:
        asked = [member.job.asked for member in self.members if member.job.asked]
        self._common = common = _common(asked)
        if common is not None:
            samples, tolerance = (
                np.full(self._starts[-1], each) for each in (common.samples, common.tolerance)
            )
        else:
            counts = [member.count for member in self.members]
            samples = np.repeat([each.samples for each in asked], counts)
            tolerance = np.repeat([each.tolerance for each in asked], counts)
        predictor = self.members[0].job.predictor
        return Cohort(predictor, self._inputs(), asked[0].seed, asked[0].sampler, samples, tolerance)

    def _leave_those_who_have_gone(self, cohort: Cohort) -> None:
        gone = [member.job.gone for member in self.members]
        if any(gone):
            cohort.leave(np.repeat(gone, [member.count for member in self.members])[cohort.rows])

    def _dealt(self, rows: NDArray[np.intp], columns: Columns) -> Iterator[tuple[Job, Piece]]:
        """Split the columns of ``rows``, ascending places in the group, by job."""
        if len(self.members) == 1:
            (member,) = self.members
            yield member.job, (rows + member.rows.start, columns)
            return
        cuts = np.searchsorted(rows, self._starts).tolist()
        for member, first, (start, stop) in zip(self.members, self._starts, pairwise(cuts), strict=False):
            if start < stop:
                places = rows[start:stop] + (member.rows.start - first)
                yield member.job, (places, {name: column[start:stop] for name, column in columns.items()})


def _common(asked: Sequence[Asked]) -> Asked | None:
    first = asked[0]
    return first if all(each is first or each == first for each in asked) else None
