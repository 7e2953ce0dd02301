"""The `caveat` command with handlers that hold the event loop: one works for seconds, one waits for ever."""

import re
import time

from caveat import commands
from caveat.service.rest.documentation.schemas import Health
from caveat.service.rest.probes import ProbeHandlers


async def work(self: ProbeHandlers) -> Health:
    """Answer after a call of more than a second that holds the interpreter."""
    length, took = 16, 0.0
    while took < 1.5:
        length += 1
        start = time.monotonic()
        re.match("(a+)+$", "a" * length + "b")
        took = time.monotonic() - start
    return Health(status="live")


async def wait(self: ProbeHandlers, name: str) -> Health:
    """Never answer."""
    time.sleep(1000)
    return Health(status="ready")


if __name__ == "__main__":
    ProbeHandlers.live = work  # type: ignore[method-assign]
    ProbeHandlers.model_ready = wait  # type: ignore[method-assign]
    raise SystemExit(commands.main())
