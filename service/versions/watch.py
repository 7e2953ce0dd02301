"""Polls the store for changes."""

import asyncio
from collections.abc import Iterable

from caveat.service.monitoring import logs
from caveat.service.versions.outcome import News
from caveat.service.versions.relay import Relay
from caveat.service.versions.rollout import Rollout


async def watch(rollout: Rollout, relay: Relay, seconds: float) -> None:
    """Update all workers whenever the store has changed; polls every ``seconds``, or never if they are 0."""
    while seconds:
        await asyncio.sleep(seconds)
        try:
            if await rollout.changed():
                report((await relay.everywhere("update")).news)
        except Exception as error:  # polling goes on
            logs.failure("store", f"looking at {rollout.store} failed", error)


def report(news: Iterable[News]) -> None:
    """Log the changes."""
    for each in news:
        logs.event("store", each.message, each.level)
