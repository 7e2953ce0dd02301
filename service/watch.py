"""Looks at the store again and again."""

import asyncio
import sys
from collections.abc import Iterable

from service.relay import Relay
from service.rollout import Rollout


async def watch(rollout: Rollout, relay: Relay, seconds: float) -> None:
    """Bring all workers up to the store whenever it has changed; with no seconds between looks, never."""
    while seconds:
        await asyncio.sleep(seconds)
        try:
            if await rollout.changed():
                report((await relay.everywhere("update")).news)
        except Exception as error:  # nothing shall end the watching
            report([f"looking at {rollout.store} failed: {type(error).__name__}: {error}"])


def report(news: Iterable[str]) -> None:
    """Write lines to the log."""
    for line in news:
        print(f"caveat serve: {line}", file=sys.stderr, flush=True)
