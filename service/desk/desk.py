"""The desk: takes requests from any door, and answers them."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from anyio import to_thread

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles import aliases
from caveat.models.bundles.aliases import AliasError
from caveat.models.bundles.manifest import NAME
from caveat.models.bundles.signature import Inputs
from caveat.models.errors import CaveatError, InputError
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk.admission import Admission, Visit
from caveat.service.desk.batching.batcher import Batcher
from caveat.service.desk.batching.job import Job, UntilLeft
from caveat.service.desk.batching.waiting import Waiting
from caveat.service.desk.monitoring import log, tracing
from caveat.service.desk.monitoring.alarms import Alarms
from caveat.service.desk.monitoring.metrics import Metrics
from caveat.service.desk.monitoring.reports import Reports
from caveat.service.desk.monitoring.series import Tally
from caveat.service.desk.refusals import ConflictError, LateError, NotReadyError
from caveat.service.desk.versions.catalogue import Catalogue
from caveat.service.desk.versions.changes import Changes
from caveat.service.desk.versions.rollout import Action, Rollout
from caveat.service.desk.versions.trim import trim
from caveat.service.desk.versions.watch import Everywhere, report, watch
from caveat.service.settings import Settings

_TICK: Final = 0.1
"""Seconds between two reports of what was recorded, and between two looks at those who wait."""

_TIDY: Final = 10.0
"""Seconds between two times that memory is returned to the system."""

_COLLECTING: Final = 1e-3
"""Part of the time in which garbage is collected: mostly 2 ms each time, and 0.1 s beside a crowd."""

_PAUSE: Final = 0.02
"""Seconds between two checks of whether all requests are answered."""


class Desk:
    """Answers requests for predictions, and holds all that this takes; one for each process.

    Parameters
    ----------
    settings
        Settings of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.admission = Admission(settings)
        self.metrics = Metrics()
        self.rollout = Rollout(settings, self.metrics)
        self.everywhere: Everywhere = self.rollout.perform
        """Carries out an action in every process of the service: in this one, unless there are others."""
        self.others: Callable[[], Awaitable[Tally]] | None = None
        """Tells what the other processes of the service have counted; None if there are none."""
        self.batcher = Batcher()
        self._waiting = Waiting()
        alarms = Alarms(self.metrics, settings.workers)
        spans = tracing.from_environment()
        self.reports = Reports(self.metrics, self.admission, self.batcher, alarms, spans)
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop in which the desk is `running`."""

    def load(self) -> Changes:
        """Load the store, which makes the service ready; blocks.

        Raises
        ------
        CaveatError
            If nothing in the store can be served, or the default model can't.
        """
        return self.rollout.begin()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what runs beside requests for the length of the block; then answer those that are admitted.

        It may be entered again, in another event loop too, once it has ended.
        """
        self.loop = asyncio.get_running_loop()
        self.admission.closing = False
        self._waiting = Waiting()
        self.batcher.forget()
        beside = [
            asyncio.create_task(self._tick(), name="tick"),
            asyncio.create_task(_tidy(), name="tidy"),
            asyncio.create_task(
                watch(self.rollout, lambda action: self.everywhere(action), self.settings.poll), name="watch"
            ),
        ]
        try:
            yield
            if not self.admission.closing:
                await self._drain()
        finally:
            self.loop = None
            for task in beside:
                task.cancel()
            self.rollout.close()
            await asyncio.gather(*beside, return_exceptions=True)
            self.batcher.close()
            self.reports.close()
            log.end()  # a server may end the process at once

    async def answer(
        self,
        predictor: Predictor,
        inputs: Inputs,
        asked: Asked | None,
        due: float,
        visit: Visit | None = None,
        until_left: UntilLeft | None = None,
    ) -> Columns:
        """Answer rows.

        Parameters
        ----------
        predictor
            The model, as `find` gives it.
        inputs
            Arrays of B rows, by the name of the model's input.
        asked
            The passes to make, and decisions that have passed the task's check; None for an answer without
            dropout.
        due
            Deadline, a time of `perf_counter` in seconds.
        visit
            The place that the request has taken; by default it takes one now.
        until_left
            Waits until the client has left; None for a client that can't leave.

        Raises
        ------
        RefusedError
            If there is no room, no answer in time, or the client leaves.
        InputError
            If the work takes longer than a request may.
        Exception
            The error that the run failed with.
        """
        if visit is None:
            with self.admission.visit() as visit:
                visit.come_in()
                return await self.answer(predictor, inputs, asked, due, visit, until_left)
        job = Job(predictor, inputs, asked, until_left, due)
        visit.begin_work(job)
        try:
            self.batcher.check_in_time(job, self.settings.timeout)
            self.batcher.submit(job)
            return await self._waiting.answer(job)
        finally:
            visit.end_work()

    @property
    def is_loaded(self) -> bool:
        """Whether models are loaded."""
        return self.rollout.catalogue is not None

    @property
    def catalogue(self) -> Catalogue:
        """The loaded models.

        Raises
        ------
        NotReadyError
            If the models are not loaded yet.
        """
        self._check_loaded()
        assert self.rollout.catalogue is not None
        return self.rollout.catalogue

    def _check_loaded(self) -> None:
        if not self.is_loaded:
            raise NotReadyError("the models are not loaded yet; try again shortly")

    def find(self, name: str | None = None, version: int | str | None = None) -> Predictor:
        """Find a model.

        Parameters
        ----------
        name
            Name of the model; None finds the default model.
        version
            A number or an alias, as clients write it; None finds the highest version.

        Raises
        ------
        UnknownModelError
            If there is no such model or version.
        InputError
            If the version is neither a number nor an alias.
        NotReadyError
            If the models are not loaded yet.
        """
        return self.catalogue.find(name, _version(version))

    def check_ready(self, name: str | None = None) -> None:
        """Refuse unless models are loaded, or one of this name, and the service is not shutting down.

        Raises
        ------
        NotReadyError
            Saying what is not ready.
        UnknownModelError
            If there is no model of this name.
        """
        catalogue = self.catalogue
        self.admission.check_open()
        if name is None:
            return
        reasons = catalogue.failures_of(name)
        if reasons and name not in catalogue.models:
            raise NotReadyError(f"no version of {name} can be loaded: {'; '.join(reasons)}")
        self.find(name)

    async def update(self, action: Action) -> Changes:
        """Carry out an action in every process, and log what changed.

        Raises
        ------
        ConflictError
            If nothing has changed, because the store can't be read.
        LateError
            If a process does not finish.
        """
        self._check_loaded()
        try:
            changes = await self.everywhere(action)
        except CaveatError as error:
            raise LateError(str(error)) from None
        report(changes.news)
        if changes.trouble:
            raise ConflictError(f"nothing has changed: {changes.trouble}")
        return changes

    async def point(self, name: str, alias: str, version: int | None) -> dict[str, int]:
        """Point an alias of a model at a version, or remove it; return the model's aliases.

        Raises
        ------
        ConflictError
            If the store takes no aliases, or changed meanwhile.
        """
        if self.settings.store is None:
            raise ConflictError("the bundled models take no aliases; serve a store of your own")
        try:
            await to_thread.run_sync(aliases.point, self.rollout.store / name, alias, version)
        except AliasError as error:
            raise ConflictError(str(error)) from None
        await self.update("point")
        found = self.catalogue.aliases_of(name)
        if found.get(alias) != version:
            raise ConflictError(f"{alias} stands for {found.get(alias)}: the store changed meanwhile")
        return found

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.reports.fold()
            self._waiting.watch()

    async def _drain(self) -> None:
        """Admit no more requests, and wait until those that are admitted are answered."""
        self.admission.close()
        waiting = self.admission.requests
        if waiting:
            tell_of_drain(waiting)
        until = monotonic() + self.settings.drain
        while self.admission.requests and monotonic() < until:
            await asyncio.sleep(_PAUSE)


async def _tidy() -> None:
    """Return memory to the system that requests no longer need, now and then.

    What a crowd of connections or a flood of bad requests took would stay with the process else: in cycles
    that Python collects only after millions of further objects, and in what the C library keeps.
    """
    due = 0.0
    while True:
        await asyncio.sleep(_TIDY)
        if (began := monotonic()) >= due:
            gc.collect()
            due = monotonic() + (monotonic() - began) / _COLLECTING
        await to_thread.run_sync(trim)


def tell_of_drain(waiting: int) -> None:
    """Log that the service stops, and how many requests it answers first."""
    log.event("drain", f"told to stop; answering {waiting} requests first", requests=waiting)


def _version(version: int | str | None) -> int | str | None:
    """Read a version as clients write it: a number or an alias."""
    if not isinstance(version, str):
        return version
    if re.fullmatch("0|[1-9][0-9]{0,17}", version):
        return int(version)
    if version.isdigit() or not re.fullmatch(NAME, version):
        raise InputError("version", "a valid integer or an alias", version[:80])
    return version
