"""The worker's end of the relay: an action in every worker, and the counts of all workers."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

from caveat.models.errors import CaveatError
from caveat.service.desk.monitoring.metrics import Metrics
from caveat.service.desk.monitoring.series import Tally
from caveat.service.desk.versions.changes import Changes
from caveat.service.desk.versions.rollout import Action
from caveat.service.process.channel import Channel
from caveat.service.process.messages import Beat, Done, Order, Others, Wanted

_TIMEOUT: Final = 600.0
"""Timeout in seconds, long enough to load large models; a stuck worker must not block the others."""

_BEAT: Final = 0.25
"""Seconds between two beats."""

_PATIENCE: Final = 1.0
"""Seconds to wait for the counts of the others; then the last ones that came must do."""


class Relay:
    """Requests actions in all workers, carries out orders, and tells what this worker counts.

    It beats on the event loop, which shows the supervisor that requests are answered here.

    Parameters
    ----------
    perform
        Carries out an action in this process.
    metrics
        What this process counts.
    channel
        Channel to the supervisor, which is read on the running event loop from now on.
    """

    def __init__(
        self, perform: Callable[[Action], Awaitable[Changes]], metrics: Metrics, channel: Channel
    ) -> None:
        self._perform = perform
        self._metrics = metrics
        self._channel = channel
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[Changes]] = {}
        self._doing: set[asyncio.Task[None]] = set()
        self._others: Tally = {}
        self._coming: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        loop.add_reader(channel.fileno(), self._receive)
        self._beating = loop.create_task(self._beat_on(), name="beat")

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
        self._channel.send(Order(number, action))
        try:
            return await asyncio.wait_for(answer, _TIMEOUT)
        except TimeoutError:
            raise CaveatError(f"a worker did not finish this within {_TIMEOUT:.0f} seconds") from None

    async def others(self) -> Tally:
        """Ask what the other workers have counted; many that ask at once ask once."""
        if self._coming is None or self._coming.done():
            self._coming = asyncio.get_running_loop().create_future()
            self._channel.send(Wanted())
        await asyncio.wait([self._coming], timeout=_PATIENCE)
        return self._others

    def close(self) -> None:
        """Send the last counts, and stop."""
        self._beating.cancel()
        self._beat()
        asyncio.get_running_loop().remove_reader(self._channel.fileno())

    async def _beat_on(self) -> None:
        while True:
            self._beat()
            await asyncio.sleep(_BEAT)

    def _beat(self) -> None:
        """Send a beat, unless the supervisor has not read the last one; counts then go with a later one."""
        self._channel.flush()
        if not self._channel.unsent:
            self._channel.send(Beat(self._metrics.changes()))

    def _receive(self) -> None:
        for message in self._channel.receive():
            match message:
                case Done(number, changes):
                    answer = self._asked.pop(number)
                    if not answer.cancelled():
                        answer.set_result(changes)
                case Order(number, action):
                    doing = asyncio.get_running_loop().create_task(self._do(number, action))
                    self._doing.add(doing)  # the loop holds only weak references to tasks
                    doing.add_done_callback(self._doing.discard)
                case Others(counts):
                    self._others = counts
                    if self._coming and not self._coming.done():
                        self._coming.set_result(None)
        if self._channel.ended:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            for answer in self._asked.values():
                answer.cancel()

    async def _do(self, number: int, action: Action) -> None:
        self._channel.send(Done(number, await self._perform(action)))
