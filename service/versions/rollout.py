"""The rollout: updates the catalogue from the store while the service goes on answering."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from anyio import to_thread

from caveat.models.bundles.store import BUNDLED
from caveat.models.errors import CaveatError
from caveat.service.monitoring.metrics import Metrics
from caveat.service.settings import Settings
from caveat.service.versions.attempt import Attempt, attempt
from caveat.service.versions.catalogue import Catalogue, Failure, Place
from caveat.service.versions.outcome import News, Outcome, between
from caveat.service.versions.sight import Sight, look
from caveat.service.versions.succession import Pointers, read_pointers, succeed
from caveat.service.versions.trim import trim

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
        self._sight = Sight({}, {})
        self._trouble: str | None = None
        self._loading = asyncio.Lock()
        self._swapping = asyncio.Lock()

    def begin(self) -> Outcome:
        """Load the store for the first time.

        Raises
        ------
        CaveatError
            If nothing in the store can be served, or the default model can't.
        """
        sight = look(self.store)
        attempts = [attempt(self._folder(*place), self._settings) for place in sight.versions]
        reasons = {each.name: each.result.reason for each in attempts if isinstance(each.result, Failure)}
        sound = {each.name for each in attempts if not isinstance(each.result, Failure)}
        if not sound:
            raise CaveatError(next(iter(reasons.values())))
        if self._default in reasons and self._default not in sound:
            raise CaveatError(reasons[self._default])
        outcome = self._swap(sight, read_pointers(self.store, sight), attempts)
        assert self.catalogue is not None
        self._default = self.catalogue.default  # the only model stays the default when others come
        return outcome

    async def changed(self) -> bool:
        """Tell whether the store has changed since the last update, or that update failed."""
        try:
            return await to_thread.run_sync(look, self.store) != self._sight or self._trouble is not None
        except CaveatError as error:
            return str(error) != self._trouble

    async def perform(self, action: Action) -> Outcome:
        """Carry out an action; errors are in the outcome."""
        try:
            outcome = await (self._point() if action == "point" else self._update(action == "retry"))
        except Exception as error:  # the store is unreadable, or a fault: the loaded models stay
            trouble = str(error) if isinstance(error, CaveatError) else f"{type(error).__name__}: {error}"
            news = () if self._trouble == trouble else (News("error", trouble),)
            self._trouble = trouble
            return Outcome(news=news, trouble=trouble)
        self._trouble = None
        return outcome

    async def _update(self, again: bool) -> Outcome:
        async with self._loading:
            sight = await to_thread.run_sync(look, self.store)
            failing = self.catalogue.failing if self.catalogue and again else {}
            changed = [
                place
                for place, fingerprint in sight.versions.items()
                if fingerprint != self._sight.versions.get(place) or place in failing
            ]
            attempts = [
                await to_thread.run_sync(attempt, self._folder(*place), self._settings) for place in changed
            ]
            async with self._swapping:
                pointers = await to_thread.run_sync(read_pointers, self.store, sight)
                outcome = self._swap(sight, pointers, attempts)
            if attempts or outcome.dropped:
                del attempts
                await to_thread.run_sync(trim)
            return outcome

    async def _point(self) -> Outcome:
        async with self._swapping:  # does not wait for bundles that are loading
            pointers = await to_thread.run_sync(read_pointers, self.store, self._sight)
            return self._swap(self._sight, pointers, [])

    def _swap(self, sight: Sight, pointers: Pointers, attempts: Sequence[Attempt]) -> Outcome:
        old, new = self.catalogue, succeed(self.catalogue, sight, pointers, attempts, self._default)
        self.catalogue, self._sight = new, sight
        outcome = between(old, new)
        self._count(attempts, outcome, old.failing if old else {})
        return outcome

    def _count(
        self, attempts: Sequence[Attempt], outcome: Outcome, failed_before: Mapping[Place, Failure]
    ) -> None:
        for each in attempts:
            if isinstance(each.result, Failure):
                self._metrics.failing(each.name, each.version)
            else:
                self._metrics.loaded(each.name, each.version, each.seconds)
        for name, version in failed_before.keys() - dict(outcome.failing).keys():
            if version:
                self._metrics.recovered(name, version)
        for place in outcome.dropped:
            self._metrics.dropped(*place)

    def _folder(self, name: str, version: int) -> Path:
        return self.store / name / str(version)
