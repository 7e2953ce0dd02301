"""Work on a thread beside the event loop, one piece at a time."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple, TypeVar

from anyio import to_thread

from caveat.service.desk.batching.waiting import late

T = TypeVar("T")


class _Waiting(NamedTuple):
    size: int
    turn: asyncio.Future[None]


class OffLoop:
    """Does one piece of work at a time, as each takes several times the memory of its bytes.

    The smallest piece that waits goes next, and every second time the one that waits longest: so a small one
    does not wait for all the large ones before it, and a large one gets its turn.
    """

    def __init__(self) -> None:
        self._busy = False
        self._waiting: list[_Waiting] = []  # in the order of their arrival
        self._oldest_is_next = False

    async def run(self, size: int, work: Callable[[], T], due: float) -> T:
        """Do ``work`` on ``size`` bytes; it must begin until ``due``, a time of `perf_counter` in seconds.

        Raises
        ------
        LateError
            If it does not begin in time.
        """
        if self._busy:
            await self._turn(size, due)
        self._busy = True
        try:
            return await to_thread.run_sync(work)
        finally:
            self._go_on()

    async def _turn(self, size: int, due: float) -> None:
        waiting = _Waiting(size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(max(0.0, due - perf_counter())):
                await waiting.turn
        except BaseException as error:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:  # its turn had just come
                self._go_on()
            if isinstance(error, TimeoutError):
                raise late() from None
            raise

    def _go_on(self) -> None:
        """Give the next piece its turn."""
        self._waiting = [each for each in self._waiting if not each.turn.done()]  # else its time is over
        self._busy = bool(self._waiting)
        if self._busy:
            oldest = self._waiting[0]
            chosen = oldest if self._oldest_is_next else min(self._waiting, key=lambda each: each.size)
            self._oldest_is_next = chosen is not oldest
            self._waiting.remove(chosen)
            chosen.turn.set_result(None)
