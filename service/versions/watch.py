"""Looks at the store again and again."""

import asyncio
from collections.abc import Iterable

from caveat.service.monitoring import logs
from caveat.service.versions.outcome import News
from caveat.service.versions.relay import Relay
from caveat.service.versions.rollout import Rollout


async def watch(rollout: Rollout, relay: Relay, seconds: float) -> None:
    """Bring all workers up to the store whenever it has changed; with no seconds between looks, never."""
    while seconds:
        await asyncio.sleep(seconds)
        try:
            if await rollout.changed():
                report((await relay.everywhere("update")).news)
        except Exception as error:  # nothing shall end the watching
            logs.failure("store", f"looking at {rollout.store} failed", error)


def report(news: Iterable[News]) -> None:
    """Let the log tell of changes."""
    for each in news:
        logs.event("store", each.message, each.level)
