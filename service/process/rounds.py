"""The supervisor's end of the relay: sends each request for an action to all workers."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from caveat.service.desk.versions.changes import Changes, together
from caveat.service.desk.versions.rollout import Action
from caveat.service.process.channel import Channel
from caveat.service.process.messages import Done, Order


@dataclass
class _Round:
    finish: Callable[[Changes], None]
    awaited: set[Channel]
    found: list[Changes]


class Rounds:
    """Actions under way, each with the workers that have not finished it."""

    def __init__(self) -> None:
        self._workers: set[Channel] = set()
        self._rounds: dict[int, _Round] = {}
        self._numbers = count()

    def join(self, worker: Channel) -> None:
        """Add a worker."""
        self._workers.add(worker)

    def leave(self, worker: Channel) -> None:
        """Remove a worker that has ended, also from the rounds that wait for it."""
        self._workers.discard(worker)
        for number in list(self._rounds):
            self._gather(number, worker, [])

    def begin(self, action: Action, finish: Callable[[Changes], None]) -> None:
        """Have an action carried out in all workers; ``finish`` takes the merged changes.

        Without workers there is nothing to do: those to come load the store as it is.
        """
        number = next(self._numbers)
        if self._workers:
            self._rounds[number] = _Round(finish, set(self._workers), [])
        for each in self._workers:
            each.send(Order(number, action))

    def take(self, worker: Channel, message: Order | Done) -> None:
        """Take a worker's request for an action, or what it has done."""
        match message:
            case Order(asked, action):
                self.begin(action, lambda changes: worker.send(Done(asked, changes)))
            case Done(number, changes):
                self._gather(number, worker, [changes])

    def _gather(self, number: int, worker: Channel, changes: list[Changes]) -> None:
        round_ = self._rounds[number]
        round_.awaited.discard(worker)
        round_.found += changes
        if not round_.awaited:
            del self._rounds[number]
            round_.finish(together(round_.found))
