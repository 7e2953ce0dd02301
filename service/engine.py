"""Where models run: off the event loop, one request at a time."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")


class Engine:
    """A worker thread that requests take turns on.

    A run spreads over the cores by itself, so two at once would only slow each other down, and
    take twice the memory. Health and metrics are answered meanwhile.
    """

    def __init__(self) -> None:
        self._turn = CapacityLimiter(1)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for a turn, then do the work off the event loop."""
        return await to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._turn)
