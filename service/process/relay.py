"""The relay: carries out an action in every worker, whichever worker got the request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import Final

from caveat.models.errors import CaveatError
from caveat.service.desk.versions.changes import Changes, together
from caveat.service.desk.versions.rollout import Action

_TIMEOUT: Final = 600.0
"""Timeout in seconds, long enough to load large models; a stuck worker must not block the others."""


@dataclass(frozen=True)
class Order:
    """From a worker: a request for an action in all workers. To a worker: the order to carry it out."""

    number: int
    action: Action


@dataclass(frozen=True)
class Done:
    """From a worker: the changes of an order. To the worker that asked: those of all workers, merged."""

    number: int
    changes: Changes


class Relay:
    """The worker's end of the relay: requests actions in all workers, and carries out orders.

    Parameters
    ----------
    perform
        Carries out an action in this process.
    pipe
        Connection to the supervisor, which is read on the running event loop from now on.
    """

    def __init__(self, perform: Callable[[Action], Awaitable[Changes]], pipe: Connection) -> None:
        self._perform = perform
        self._pipe = pipe
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[Changes]] = {}
        self._doing: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._receive, pipe)

    async def everywhere(self, action: Action) -> Changes:
        """Carry out an action in all workers; return the merged changes once all have finished.

        Raises
        ------
        CaveatError
            If a worker does not finish within the timeout.
        """
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._pipe.send(Order(number, action))
        try:
            return await asyncio.wait_for(answer, _TIMEOUT)
        except TimeoutError:
            raise CaveatError(f"a worker did not finish this within {_TIMEOUT:.0f} seconds") from None

    def _receive(self, pipe: Connection) -> None:
        try:
            message: Order | Done = pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            for answer in self._asked.values():
                answer.cancel()
            return
        if isinstance(message, Done):
            answer = self._asked.pop(message.number)
            if not answer.cancelled():
                answer.set_result(message.changes)
        else:
            doing = asyncio.get_running_loop().create_task(self._do(pipe, message))
            self._doing.add(doing)  # the loop holds only weak references to tasks
            doing.add_done_callback(self._doing.discard)

    async def _do(self, pipe: Connection, told: Order) -> None:
        pipe.send(Done(told.number, await self._perform(told.action)))


@dataclass
class _Round:
    asker: Connection
    asked: int
    awaited: set[Connection]
    found: list[Changes]


class Rounds:
    """The supervisor's end of the relay: sends each request for an action to all workers."""

    def __init__(self) -> None:
        self._workers: set[Connection] = set()
        self._rounds: dict[int, _Round] = {}
        self._numbers = count()

    @property
    def workers(self) -> set[Connection]:
        """The pipes to the running workers."""
        return set(self._workers)

    def join(self, worker: Connection) -> None:
        """Add a worker."""
        self._workers.add(worker)

    def leave(self, worker: Connection) -> None:
        """Remove a worker that has ended, also from the rounds that wait for it."""
        self._workers.discard(worker)
        worker.close()
        for number in list(self._rounds):
            self._gather(number, worker, None)

    def receive(self, worker: Connection) -> object:
        """Read a message from a worker; return it if it belongs to no round, else None."""
        try:
            message = worker.recv()
        except (EOFError, OSError):
            self.leave(worker)
            return None
        match message:
            case Order(asked, action):
                number = next(self._numbers)
                self._rounds[number] = _Round(worker, asked, self.workers, [])
                for each in self.workers:
                    self._send(each, Order(number, action))
            case Done(number, changes):
                self._gather(number, worker, changes)
            case _:
                return message
        return None

    def _gather(self, number: int, worker: Connection, changes: Changes | None) -> None:
        round_ = self._rounds[number]
        round_.awaited.discard(worker)
        round_.found += [changes] if changes else []
        if not round_.awaited:
            del self._rounds[number]
            self._send(round_.asker, Done(round_.asked, together(round_.found)))

    def _send(self, worker: Connection, message: Order | Done) -> None:
        if worker in self._workers:
            try:
                worker.send(message)
            except OSError:  # the worker has just ended
                self.leave(worker)
