"""The rollout: updates the catalogue from the store while the service goes on answering."""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from anyio import to_thread

from caveat.models.bundles.store import BUNDLED
from caveat.models.errors import CaveatError
from caveat.service.desk.monitoring.metrics import Metrics
from caveat.service.desk.versions.attempt import Attempt, attempt
from caveat.service.desk.versions.catalogue import Catalogue, Failure, Place
from caveat.service.desk.versions.changes import Changes, News, between
from caveat.service.desk.versions.next_catalogue import Pointers, next_catalogue, read_pointers
from caveat.service.desk.versions.snapshot import Snapshot, take_snapshot
from caveat.service.desk.versions.trials import Trials
from caveat.service.desk.versions.trim import trim
from caveat.service.settings import Settings

Action = Literal["update", "retry", "point"]
"""Load what changed in the store ("update"), and what failed before ("retry"); or read aliases ("point")."""


class Rollout:
    """Holds the catalogue, and replaces it when the store changes.

    A thread loads and warms up bundles; the event loop then swaps the catalogue with one assignment. A
    predictor that is dropped from the catalogue is freed with the last job that uses it.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.store: Path = settings.store or BUNDLED
        self.catalogue: Catalogue | None = None
        self._settings = settings
        self._default = settings.default_model
        self._metrics = metrics
        self._trials = Trials(settings)
        self._snapshot = Snapshot({}, {})
        self._trouble: str | None = None
        self._loading = asyncio.Lock()
        self._swapping = asyncio.Lock()

    def begin(self) -> Changes:
        """Load the store for the first time.

        Raises
        ------
        CaveatError
            If nothing in the store can be served, or the default model can't.
        """
        snapshot = take_snapshot(self.store)
        try:
            attempts = [self._attempt(place) for place in snapshot.versions]
        finally:
            self._trials.close()
        reasons = {each.name: each.result.reason for each in attempts if isinstance(each.result, Failure)}
        sound = {each.name for each in attempts if not isinstance(each.result, Failure)}
        if not sound:
            raise CaveatError(next(iter(reasons.values())))
        if self._default in reasons and self._default not in sound:
            raise CaveatError(reasons[self._default])
        changes = self._swap(snapshot, read_pointers(self.store, snapshot), attempts)
        assert self.catalogue is not None
        self._default = self.catalogue.default  # the only model stays the default when others come
        return changes

    async def changed(self) -> bool:
        """Tell whether the store has changed since the last update, or that update failed."""
        try:
            return (
                await to_thread.run_sync(take_snapshot, self.store) != self._snapshot
                or self._trouble is not None
            )
        except CaveatError as error:
            return str(error) != self._trouble

    async def perform(self, action: Action) -> Changes:
        """Carry out an action; errors are in the changes."""
        try:
            changes = await (self._point() if action == "point" else self._update(action == "retry"))
        except Exception as error:  # the store is unreadable, or a fault: the loaded models stay
            trouble = str(error) if isinstance(error, CaveatError) else f"{type(error).__name__}: {error}"
            news = () if self._trouble == trouble else (News("error", trouble),)
            self._trouble = trouble
            return Changes(news=news, trouble=trouble)
        self._trouble = None
        return changes

    async def _update(self, again: bool) -> Changes:
        async with self._loading:
            snapshot = await to_thread.run_sync(take_snapshot, self.store)
            failing = self.catalogue.failing if self.catalogue and again else {}
            changed = [
                place
                for place, fingerprint in snapshot.versions.items()
                if fingerprint != self._snapshot.versions.get(place) or place in failing
            ]
            try:
                attempts = [await to_thread.run_sync(self._attempt, place) for place in changed]
            finally:
                self._trials.close()
            async with self._swapping:
                pointers = await to_thread.run_sync(read_pointers, self.store, snapshot)
                changes = self._swap(snapshot, pointers, attempts)
            if attempts or changes.dropped:
                del attempts
                await to_thread.run_sync(gc.collect)
                await to_thread.run_sync(trim)
            return changes

    async def _point(self) -> Changes:
        async with self._swapping:  # does not wait for bundles that are loading
            pointers = await to_thread.run_sync(read_pointers, self.store, self._snapshot)
            return self._swap(self._snapshot, pointers, [])

    def _swap(self, snapshot: Snapshot, pointers: Pointers, attempts: Sequence[Attempt]) -> Changes:
        old, new = self.catalogue, next_catalogue(self.catalogue, snapshot, pointers, attempts, self._default)
        self.catalogue, self._snapshot = new, snapshot
        changes = between(old, new)
        self._count(attempts, changes, old.failing if old else {})
        return changes

    def _count(
        self, attempts: Sequence[Attempt], changes: Changes, failed_before: Mapping[Place, Failure]
    ) -> None:
        for each in attempts:
            if isinstance(each.result, Failure):
                self._metrics.failing(each.name, each.version)
            else:
                self._metrics.loaded(each.name, each.version, each.seconds)
        for name, version in failed_before.keys() - dict(changes.failing).keys():
            if version:
                self._metrics.recovered(name, version)
        for place in changes.dropped:
            self._metrics.dropped(*place)

    def close(self) -> None:
        """End the trial of a bundle, if there is one."""
        self._trials.close()

    def _attempt(self, place: Place) -> Attempt:
        name, version = place
        return attempt(self.store / name / str(version), self._settings, self._trials)
