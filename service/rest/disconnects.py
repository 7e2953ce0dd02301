"""Notices clients that leave while they wait for an answer."""

import asyncio
from time import monotonic
from typing import Final

from starlette.types import Receive

from caveat.service.desk.admission import Visit

_AFTER: Final = 0.1
"""Seconds of waiting after which a request is watched."""


class Disconnects:
    """Fails the jobs of clients that leave.

    A server tells that a client has left through ``receive``, and waiting for that takes a task. Most answers
    take less time than the task, so only requests that wait for long are watched; one timer serves all.
    """

    def __init__(self) -> None:
        self._waiting: dict[Visit, tuple[float, Receive]] = {}  # since when, the oldest first
        self._watched: dict[Visit, asyncio.Task[None]] = {}
        self._is_due = False  # whether a check is

    def begin(self, visit: Visit, receive: Receive) -> None:
        """Take a request whose body is read, and which waits for its answer from now on."""
        self._waiting[visit] = (monotonic(), receive)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(_AFTER, self._check)

    def end(self, visit: Visit) -> None:
        """Let a request go that waits no longer."""
        self._waiting.pop(visit, None)
        if task := self._watched.pop(visit, None):
            task.cancel()

    def _check(self) -> None:
        self._is_due = False
        loop = asyncio.get_running_loop()
        while self._waiting:
            visit, (since, receive) = next(iter(self._waiting.items()))
            left = since + _AFTER - monotonic()
            if left > 0:
                self._is_due = True
                loop.call_later(left, self._check)
                return
            del self._waiting[visit]
            self._watched[visit] = loop.create_task(_watch(visit, receive))


async def _watch(visit: Visit, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.leave()
