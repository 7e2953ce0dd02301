"""How much of the queued work makes a turn of the engine, by the measured pace of runs."""

import math
import weakref
from collections.abc import Hashable
from typing import Final

from caveat.service.desk.batching.group import Group
from caveat.service.desk.batching.job import Job
from caveat.service.desk.batching.pace import Pace
from caveat.service.desk.batching.speed import Speed

SHORT = 0.001
"""Seconds of work up to which a turn runs on the event loop: handing it to a thread takes longer."""

_PIECE: Final = 100
"""Passes over a row that are never cut: the number that a request makes by default."""

_FEW: Final = 4
"""Rows of a turn of a larger job, where `_PIECE` passes over one row take longer than `SHORT`."""


class Sizing:
    """Measures runs, and cuts jobs to turns of about `SHORT` seconds."""

    def __init__(self) -> None:
        self._paces: dict[Hashable, Pace] = {}  # by the kind of job
        self._speeds: dict[Hashable, Speed] = {}

    def learn(self, group: Group, load: int, seconds: float) -> None:
        """Note that a step of a group, which held ``load`` values, took ``seconds``."""
        kind = group.kind
        load = max(load, 1)
        if kind in self._paces:
            self._paces[kind].learn(load, seconds)
        else:
            self._paces[kind] = Pace(load, seconds)
            self._speeds[kind] = Speed()
            # The kind holds the predictor's id, which Python may give to a later predictor.
            for known in (self._paces, self._speeds):
                weakref.finalize(group.members[0].job.predictor, known.pop, kind, None)
        more = not group.gone or group.members[-1].job.waiting > 0
        if more and self._paces[kind].each * load >= SHORT / 2:  # a shorter run tells little of long work
            self._speeds[kind].learn(load, seconds)

    def speed(self, kind: Hashable) -> Speed | None:
        """Give the speed of a kind of jobs; None while it is unknown."""
        speed = self._speeds.get(kind)
        return speed if speed and speed.known else None

    def seconds(self, kind: Hashable, load: int) -> float:
        """Predict the seconds of a run of a kind of jobs; infinite while their pace is unknown."""
        pace = self._paces.get(kind)
        return pace.seconds(load) if pace else math.inf

    def fixed(self, entry: Job | Group) -> float:
        """Compute the fraction of `SHORT` that a run takes besides its rows; 0 if it is half or more."""
        pace = self._paces.get(entry.kind)
        return pace.fixed / SHORT if pace and pace.fixed < SHORT / 2 else 0.0

    def fits(self, entry: Job | Group, room: float) -> tuple[int, float]:
        """Count the rows of a job that fit into a fraction of a turn; or tell whether a group's step does.

        Returns
        -------
        fits, share
            The count, and the fraction of a turn that each takes: of a turn's memory, or of `SHORT` if that
            is more. Rows of which `_PIECE` passes take longer than `SHORT` count by their memory alone, as
            more rows at once are faster; of a larger job only a few run at once.
        """
        if isinstance(entry, Group):
            seconds = self._each(entry) * entry.load
            share = max(entry.load / entry.most, seconds / SHORT if seconds < SHORT else 1.0)
            return int(room / share), share
        load, seconds = self._piece(entry)
        if seconds < SHORT:
            share = max(load / entry.most, seconds / SHORT)
            return int(room / share), share
        share = load / entry.most
        fits = int(room / share)
        return (fits if fits < _FEW or seconds == math.inf else _FEW), share

    def cut(self, group: Group) -> None:
        """Settle how many rows and passes the next step of a group takes."""
        job = group.members[0].job
        is_cut = self._piece(job)[0] < job.load
        if group.count == 1 and not (is_cut or group.settled or group.chunk):
            return
        room = 1.0 - self.fixed(job)
        if group.settled:
            group.passes_at_once = _PIECE * max(
                1, self._rows(job, room, _PIECE) // max(group.at_once, group.rows)
            )
            return
        if group.chunk:
            rows = self._rows(job, room, group.chunk)
        else:
            rows = max(1, self.fits(job, room)[0])
            if is_cut:
                group.passes_at_once = _PIECE * max(1, rows // group.count)
        if len(group.members) == 1:
            group.at_once = min(rows, group.count)

    def _rows(self, job: Job, room: float, passes: int) -> int:
        """Count the rows that go through some passes in this fraction of a turn, at least one."""
        load = job.load_of(passes)
        seconds = self._each(job) * load
        if seconds >= SHORT:
            return max(1, min(_FEW, int(room * job.most / load)))
        return max(1, int(room / max(load / job.most, seconds / SHORT)))

    def _piece(self, job: Job) -> tuple[int, float]:
        """Count the values of a row that a turn holds at least, and predict their seconds.

        Those are all of its passes, or `_PIECE` of them if all take longer than `SHORT`.
        """
        each = self._each(job)
        seconds = each * job.load
        if job.samples <= _PIECE or seconds < SHORT:
            return job.load, seconds
        load = job.load_of(_PIECE)
        return load, each * load

    def _each(self, entry: Job | Group) -> float:
        pace = self._paces.get(entry.kind)
        return pace.each if pace else math.inf
