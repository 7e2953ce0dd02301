"""Which rows run together, and when: requests that wait while the engine is busy share its next turn."""

import asyncio
import math
import weakref
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np

from caveat.models.engines.deadline import Deadline
from caveat.service.desk.batching.group import Group, Member
from caveat.service.desk.batching.job import Job, Piece
from caveat.service.desk.batching.pace import Pace
from caveat.service.desk.batching.scores import Scores
from caveat.service.desk.batching.waiting import late
from caveat.service.desk.refusals import ClosingError

_SHORT = 0.001
"""Seconds of work up to which a turn runs on the event loop: handing it to a thread takes longer."""

_LONGEST: Final = 0.1
"""Seconds after which a run on the event loop is aborted, to be made again on the thread."""


@dataclass(frozen=True)
class StepResult:
    """The result of one step of a group, and how long the step took."""

    group: Group
    pieces: Sequence[tuple[Job, Piece]]
    error: Exception | None
    load: int
    seconds: float
    rows: int
    passes: int
    scores: Sequence[Scores]


class Turn(NamedTuple):
    """What a turn of the engine did.

    Parameters
    ----------
    rows
        Number of rows in the turn.
    passes
        Number of passes in the turn, summed over the rows.
    fill
        Fraction of the turn's capacity that was used, 0 to 1.
    scores
        Scores of the rows that this turn finished.
    """

    rows: int
    passes: int
    fill: float
    scores: Sequence[Scores] = ()


class Batcher:
    """Runs jobs in turns of the engine; long turns run on the batcher's own thread.

    A turn is filled up to the memory that one run may hold or, where rows take little time, up to `_SHORT`
    seconds of work, so that every turn is short and small. Jobs wait in a queue. A job that does not fit
    into one turn goes on, step by step, from a second queue, and the two queues alternate, so that a small
    job waits for at most one turn of a large one. An idle engine starts at once, with the jobs that are
    there. Between short turns the event loop first reads the requests that have arrived, until no more
    arrive or the queue fills a turn.

    One run uses all cores, so two runs at once would only slow each other down.
    """

    def __init__(self) -> None:
        self._fresh: deque[Job | Group] = deque()  # jobs only; a group has already begun
        self._begun: deque[Job | Group] = deque()
        self._begun_are_next = False
        self._engine = ThreadPoolExecutor(1, "engine")
        self._busy = False
        self._taken: list[Job | Group] = []  # the jobs and groups in the current turn
        self._filled = 0.0  # fraction of the current turn's capacity that is used
        self.turns: list[Turn] = []
        """Completed turns, drained by the reports."""
        self._paces: dict[Hashable, Pace] = {}  # by the kind of job
        self._deadline = Deadline()  # of the current turn

    @property
    def waiting(self) -> int:
        """Number of queued jobs of which no row has been in a turn yet."""
        return len(self._fresh)

    def submit(self, job: Job) -> None:
        """Queue a job; a job that is gone by its turn is skipped."""
        job.submitted = perf_counter()
        self._fresh.append(job)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._gather, 1)

    def close(self) -> None:
        """End the run and the thread, and fail the jobs without an answer; a later job starts a thread."""
        ended, self._engine = self._engine, ThreadPoolExecutor(1, "engine")
        self._deadline.expire()
        ended.shutdown(cancel_futures=True)
        for entry in (*self._taken, *self._fresh, *self._begun):
            entry.fail(ClosingError())
        self.forget()

    def forget(self) -> None:
        """Drop all jobs, as those of an event loop that ended without a word."""
        self._taken.clear()
        self._fresh.clear()
        self._begun.clear()
        self._busy = False

    def _gather(self, known: int | None = None) -> None:
        """Start a turn once an iteration of the event loop added no jobs, or the queued jobs fill a turn.

        ``known`` is the length of the queue one iteration ago; None, right after a turn, waits for one
        more iteration.
        """
        waiting = len(self._fresh)
        try:
            ready = waiting == known or self._is_filled()
        except Exception:  # raised again when the turn is filled, where it fails the right job
            ready = True
        if ready:
            self._start()
        else:
            asyncio.get_running_loop().call_soon(self._gather, waiting)

    def _is_filled(self) -> bool:
        """Tell whether the queued jobs fill a turn, assuming that all take as long as the first."""
        if not self._fresh:
            return False
        first = self._fresh[0]
        load = len(self._fresh) * first.waiting * first.load
        return self._seconds(first.kind, load) >= _SHORT or load >= first.most

    def _start(self) -> None:
        try:
            self._take_turn()
        except Exception as error:
            self._recover(error)

    def _take_turn(self) -> None:
        turn = self._fill()
        self._busy = bool(turn)
        if not turn:
            return
        loop = asyncio.get_running_loop()
        if sum(self._seconds(group.kind, group.load) for group in turn) <= 1.01 * _SHORT:
            self._finish(self._run(turn, _LONGEST))
            loop.call_soon(self._gather)
        else:
            running = loop.run_in_executor(self._engine, self._run, turn, math.inf)
            running.add_done_callback(partial(self._continue, self._engine))

    def _continue(self, engine: ThreadPoolExecutor, running: asyncio.Future[list[StepResult]]) -> None:
        if engine is not self._engine:  # closed meanwhile
            return
        try:
            self._finish(running.result())
        except Exception as error:
            self._recover(error)
        else:
            self._start()

    def _recover(self, error: Exception) -> None:
        """Fail the jobs of the current turn, so that the turns go on after a fault."""
        for entry in self._taken:
            entry.fail(error)
        asyncio.get_running_loop().call_soon(self._start)

    def _finish(self, results: Sequence[StepResult]) -> None:
        rows = sum(result.rows for result in results)
        passes = sum(result.passes for result in results)
        scores = [each for result in results for each in result.scores]
        self.turns.append(Turn(rows, passes, self._filled, scores))
        for result in results:
            if result.error is not None:
                result.group.fail(result.error)
            for job, piece in result.pieces:
                job.receive(piece)
            if not result.group.gone:
                self._begun.append(result.group)
            self._learn(result)

    def _learn(self, result: StepResult) -> None:
        kind, load = result.group.kind, max(result.load, 1)
        if kind in self._paces:
            self._paces[kind].learn(load, result.seconds)
        else:
            self._paces[kind] = Pace(load, result.seconds)
            # The kind holds the predictor's id, which Python may give to a later predictor.
            weakref.finalize(result.group.members[0].job.predictor, self._paces.pop, kind, None)

    def _seconds(self, kind: Hashable, load: int) -> float:
        pace = self._paces.get(kind)
        return pace.seconds(load) if pace else math.inf

    def _share(self, entry: Job | Group) -> float:
        """Compute the fraction of a turn that one row takes: of its memory, or of `_SHORT` if that is more.

        A row whose passes take longer than `_SHORT` counts by its memory alone.
        """
        pace = self._paces.get(entry.kind)
        seconds = pace.each * entry.load if pace else math.inf
        return max(entry.load / entry.most, seconds / _SHORT if seconds < _SHORT else 0.0)

    def _fixed(self, entry: Job | Group) -> float:
        """Compute the fraction of `_SHORT` that a run takes besides its rows; 0 if it is half or more."""
        pace = self._paces.get(entry.kind)
        return pace.fixed / _SHORT if pace and pace.fixed < _SHORT / 2 else 0.0

    def _rows_of_a_turn(self, group: Group) -> int:
        job = group.members[0].job
        return max(1, int((1.0 - self._fixed(job)) / self._share(job)))

    def _fill(self) -> list[Group]:
        """Take the queued jobs and groups that fit into a turn, or else a part of the first job."""
        self._taken.clear()
        left = 1.0
        turn: list[Group] = []
        joining: dict[Hashable, list[Member]] = {}
        lines = (self._begun, self._fresh) if self._begun_are_next else (self._fresh, self._begun)
        self._begun_are_next = True
        for line in lines:
            while line and left > 0:
                first = line.popleft()
                if first.gone:
                    continue
                self._taken.append(first)
                is_alone = isinstance(first, Group) or first.key not in joining
                room = left - (self._fixed(first) if is_alone else 0.0)
                if isinstance(first, Group):
                    first.at_once = self._rows_of_a_turn(first)
                share = self._share(first)
                fits = int(room / share)
                too_large = fits < first.waiting
                if too_large and (turn or joining):
                    line.appendleft(self._taken.pop())  # a part of it would make the others in the turn wait
                    break
                if line is self._begun or too_large:
                    self._begun_are_next = False
                if isinstance(first, Group):
                    left = room - share
                    turn.append(first)
                elif too_large and first.asked is not None:  # its rows share the draws of their passes
                    fits = max(fits, 1)
                    turn.append(Group([Member(first, first.take(max(fits, first.together)))], fits))
                    left = 0.0
                else:
                    member = Member(first, first.take(max(fits, 1)))
                    left = room - member.count * share
                    joining.setdefault(first.key, []).append(member)
                if first.waiting and not isinstance(first, Group):
                    self._begun.append(first)
                    left = 0.0
        self._filled = min(1.0, 1.0 - left)
        return turn + [Group(members) for members in joining.values()]

    def _run(self, turn: Sequence[Group], longest: float) -> list[StepResult]:
        results: list[StepResult] = []
        with np.errstate(all="ignore"):  # the answer reports an overflow
            for group in turn:
                results += _step(group, self._deadline, longest)
        return results


def _step(group: Group, deadline: Deadline, longest: float) -> list[StepResult]:
    """Make a step of a group; what takes longer than ``longest`` seconds stays to be made again."""
    fresh, load, start = group.fresh, group.load, perf_counter()
    rows, made, due = group.rows, group.passes, group.due
    pieces: Sequence[tuple[Job, Piece]] = ()
    failed: Exception | None = None
    try:
        with deadline.until(min(due, start + longest)):
            pieces = group.step()
    except TimeoutError:
        failed = late() if perf_counter() >= due else None
    except Exception as error:
        if fresh and len(group.members) > 1:  # running each alone shows which one failed
            return [result for alone in group.apart() for result in _step(alone, deadline, longest)]
        failed = error
    seconds = perf_counter() - start
    scores = () if failed else group.scores
    return [StepResult(group, pieces, failed, load, seconds, rows, group.passes - made, scores)]
