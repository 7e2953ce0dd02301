"""Closing what clients have left: some connections in each turn of the event loop."""

import asyncio
from functools import partial

from caveat.service.process.wire.leaving import Leaving


def test_few_are_closed_in_a_turn_and_all_in_the_end_in_their_order() -> None:
    asyncio.run(_few_in_a_turn())


async def _few_in_a_turn() -> None:
    closed: list[int] = []
    leaving = Leaving()
    for number in range(20):
        leaving.add(partial(closed.append, number))
    turns = 0
    while len(closed) < 20:
        before = len(closed)
        await asyncio.sleep(0)
        turns += 1
        assert len(closed) - before <= 8
    assert turns == 3
    leaving.add(partial(closed.append, 20))
    await asyncio.sleep(0)
    assert closed == [*range(21)]
