"""Polls the store for changes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from caveat.service.desk.monitoring import log
from caveat.service.desk.versions.changes import Changes, News
from caveat.service.desk.versions.rollout import Action, Rollout

Everywhere = Callable[[Action], Awaitable[Changes]]
"""Carries out an action in every process of the service, and gives what it changed, merged."""


async def watch(rollout: Rollout, everywhere: Everywhere, seconds: float) -> None:
    """Update all processes whenever the store has changed; poll every ``seconds``, or never if they are 0."""
    while seconds:
        await asyncio.sleep(seconds)
        try:
            if rollout.catalogue is not None and await rollout.changed():
                report((await everywhere("update")).news)
        except Exception as error:  # polling goes on
            log.failure("store", f"looking at {rollout.store} failed", error)


def report(news: Iterable[News]) -> None:
    """Log the changes."""
    for each in news:
        log.event("store", each.message, each.level)
