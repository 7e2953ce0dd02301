"""The order of what is done beside the event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from time import perf_counter

import pytest

from caveat.service.desk.refusals import LateError
from caveat.service.rest.off_loop import OffLoop

FOREVER = perf_counter() + 1e6


def tried(work: Callable[[OffLoop, threading.Event], Awaitable[None]]) -> None:
    """Try work that comes while the thread is busy until an event is set."""

    async def main() -> None:
        off_loop, free = OffLoop(), threading.Event()
        busy = asyncio.create_task(off_loop.run(1, free.wait, FOREVER))
        await asyncio.sleep(0)
        try:
            await work(off_loop, free)
        finally:
            free.set()
        assert await busy
        assert await off_loop.run(1, lambda: "free again", FOREVER) == "free again"

    asyncio.run(main())


def test_the_smallest_goes_next_and_the_oldest_every_second_time() -> None:
    async def work(off_loop: OffLoop, free: threading.Event) -> None:
        done: list[int] = []
        sizes = (50, 40, 30, 1, 2, 3)
        tasks = [
            asyncio.create_task(off_loop.run(size, lambda size=size: done.append(size), FOREVER))  # type: ignore[misc]
            for size in sizes
        ]
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(*tasks)
        assert done == [1, 50, 2, 40, 3, 30]

    tried(work)


def test_what_does_not_begin_in_time_is_late() -> None:
    async def work(off_loop: OffLoop, free: threading.Event) -> None:
        with pytest.raises(LateError, match="no answer in time"):
            await off_loop.run(1, lambda: None, perf_counter() + 0.01)
        free.set()
        assert await off_loop.run(1, lambda: 7, FOREVER) == 7

    tried(work)


def test_a_fault_and_a_client_that_leaves_do_not_stop_the_others() -> None:
    async def work(off_loop: OffLoop, free: threading.Event) -> None:
        def fail() -> None:
            raise RuntimeError("a fault")

        failing = asyncio.create_task(off_loop.run(1, fail, FOREVER))
        leaving = asyncio.create_task(off_loop.run(2, lambda: None, FOREVER))
        staying = asyncio.create_task(off_loop.run(3, lambda: 7, FOREVER))
        await asyncio.sleep(0)
        leaving.cancel()
        free.set()
        with pytest.raises(RuntimeError, match="a fault"):
            await failing
        assert await staying == 7

    tried(work)


def test_one_that_leaves_as_its_turn_comes_passes_it_on() -> None:
    async def work(off_loop: OffLoop, free: threading.Event) -> None:
        leaving = asyncio.create_task(off_loop.run(1, lambda: None, FOREVER))
        staying = asyncio.create_task(off_loop.run(2, lambda: 7, FOREVER))
        await asyncio.sleep(0)
        go_on = off_loop._go_on

        def go_on_as_one_leaves() -> None:
            go_on()
            leaving.cancel()

        off_loop._go_on = go_on_as_one_leaves  # type: ignore[method-assign]
        free.set()
        assert await staying == 7

    tried(work)


def test_one_whose_time_ends_as_its_turn_comes_does_not_stop_the_one_before() -> None:
    async def work(off_loop: OffLoop, free: threading.Event) -> None:
        late = asyncio.create_task(off_loop.run(1, lambda: None, perf_counter() + 1e6))
        await asyncio.sleep(0)
        (waiting,) = off_loop._waiting
        waiting.turn.cancel()  # as the timeout does, before the task learns of it
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await late

    tried(work)
