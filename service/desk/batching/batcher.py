"""Which rows run together, and when: requests that wait while the engine is busy share its next turn."""

import asyncio
import math
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np

from caveat.models.engines.deadline import Deadline
from caveat.service.desk.batching import sizing
from caveat.service.desk.batching.forecast import check_in_time
from caveat.service.desk.batching.group import Group, Member
from caveat.service.desk.batching.job import Job, Piece
from caveat.service.desk.batching.queue import Queue
from caveat.service.desk.batching.scores import Scores
from caveat.service.desk.batching.sizing import Sizing
from caveat.service.desk.batching.waiting import late
from caveat.service.desk.refusals import ClosingError

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

    A turn is filled up to the memory that one run may hold or, where rows take little time, up to `SHORT`
    seconds of work, so that every turn is short and small. Jobs wait in a `Queue`, the shortest first. A job
    that does not fit into one turn goes on from the queue, step by step, so that a small job waits for at
    most one turn of a large one. An idle engine starts at once, with the jobs that are there. Between short
    turns the event loop first reads the requests that have arrived, until no more arrive or the queue fills
    a turn.

    One run uses all cores, so two runs at once would only slow each other down.
    """

    def __init__(self) -> None:
        self._sizing = Sizing()
        self._queue = Queue(self._sizing.seconds)
        self._engine = ThreadPoolExecutor(1, "engine")
        self._busy = False
        self._taken: list[Job | Group] = []  # the jobs and groups in the current turn
        self._filled = 0.0  # fraction of the current turn's capacity that is used
        self.turns: list[Turn] = []
        """Completed turns, drained by the reports."""
        self._deadline = Deadline()  # of the turns until `close`

    @property
    def waiting(self) -> int:
        """Number of queued jobs of which no row has been in a turn yet."""
        return self._queue.fresh

    def check_in_time(self, job: Job, timeout: float) -> None:
        """Refuse a job that can't end in time; see `forecast.check_in_time`."""
        check_in_time(job, timeout, chain(self._queue, self._taken), self._sizing)

    def submit(self, job: Job) -> None:
        """Queue a job; a job that is gone by its turn is skipped."""
        job.submitted = perf_counter()
        self._queue.add(job)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._gather, 1)

    def close(self) -> None:
        """End the run and the thread, and fail the jobs without an answer; a later job starts a thread."""
        ended, self._engine = self._engine, ThreadPoolExecutor(1, "engine")
        self._deadline.expire()
        self._deadline = Deadline()
        ended.shutdown(cancel_futures=True)
        for entry in (*self._taken, *self._queue):
            entry.fail(ClosingError())
        self.forget()

    def forget(self) -> None:
        """Drop all jobs, as those of an event loop that ended without a word."""
        self._taken.clear()
        self._queue = Queue(self._sizing.seconds)
        self._busy = False

    def _gather(self, known: int | None = None) -> None:
        """Start a turn once an iteration of the event loop added no jobs, or the queued jobs fill a turn.

        ``known`` is the length of the queue one iteration ago; None, right after a turn, waits for one
        more iteration.
        """
        waiting = self._queue.fresh
        try:
            ready = waiting == known or self._is_filled()
        except Exception:  # raised again when the turn is filled, where it fails the right job
            ready = True
        if ready:
            self._start()
        else:
            asyncio.get_running_loop().call_soon(self._gather, waiting)

    def _is_filled(self) -> bool:
        """Tell whether the shortest jobs fill a turn, assuming that all take as long as the first."""
        first = self._queue.peek()
        if first is None or not first.fresh:
            return False
        load = self._queue.alike() * first.waiting * first.load
        return self._sizing.seconds(first.kind, load) >= sizing.SHORT or load >= first.most

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
        if sum(self._sizing.seconds(group.kind, group.load) for group in turn) <= 1.01 * sizing.SHORT:
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
            group = result.group
            if result.error is None:
                self._sizing.learn(group, result.load, result.seconds)
            if not group.gone:
                group.left = max(1, group.left - result.load)
                self._queue.add(group)
        self._taken.clear()

    def _fill(self) -> list[Group]:
        """Take the queued jobs and groups that fit into a turn, or else a part of the first job."""
        self._taken.clear()
        left = 1.0
        turn: list[Group] = []
        joining: dict[Hashable, list[Member]] = {}
        first = self._queue.begin()
        while first is not None:
            self._taken.append(first)
            is_alone = isinstance(first, Group) or first.key not in joining
            room = left - (self._sizing.fixed(first) if is_alone else 0.0)
            if isinstance(first, Group):
                self._sizing.cut(first)
            fits, share = self._sizing.fits(first, room)
            too_large = fits < first.waiting
            if len(self._taken) > 1:
                if too_large:  # a part of it would make the others in the turn wait
                    self._taken.pop()
                    break
                self._queue.take()
            if isinstance(first, Group):
                left = room - share
                turn.append(first)
            elif too_large and first.asked is not None:  # its rows share the draws of their passes
                turn.append(Group([Member(first, first.take(max(fits, first.together)))]))
                left = 0.0
            else:
                member = Member(first, first.take(max(fits, 1)))
                left = room - member.count * share
                joining.setdefault(first.key, []).append(member)
            if first.waiting and not isinstance(first, Group):
                self._queue.add(first)
                left = 0.0
            first = self._queue.peek() if left > 0 else None
        self._filled = min(1.0, 1.0 - left)
        turn += [Group(members) for members in joining.values()]
        for group in turn:
            if group.fresh:
                self._sizing.cut(group)
        return turn

    def _run(self, turn: Sequence[Group], longest: float) -> list[StepResult]:
        results: list[StepResult] = []
        deadline = self._deadline
        with np.errstate(all="ignore"):  # the answer reports an overflow
            for group in turn:
                results += _step(group, deadline, longest)
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
