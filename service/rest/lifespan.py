"""The start and end of the application under any ASGI server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Final

from anyio import to_thread
from starlette.types import Receive, Send

from caveat.models.errors import CaveatError
from caveat.service.desk.desk import Desk
from caveat.service.desk.versions.watch import report

_PAUSE: Final = 2.0
"""Seconds after a failed start before which requests don't start again."""


class Lifespan:
    """Starts and ends a desk.

    A server starts it by ASGI's messages. An application that the service is mounted in may pass it to
    Starlette or FastAPI as ``lifespan``; else the first request starts it.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stack = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._failed: CaveatError | None = None
        self._again = 0.0

    @asynccontextmanager
    async def __call__(self, _app: object) -> AsyncIterator[None]:
        """Start, and end after the block."""
        await self.start()
        try:
            yield
        finally:
            await self._stack.aclose()

    async def start(self) -> None:
        """Load the store, and start what runs beside requests; do nothing if that is done.

        Raises
        ------
        CaveatError
            If the store can't be served.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._starting, self._stack = loop, asyncio.Lock(), AsyncExitStack()
        async with self._starting:
            if self._desk.loop is loop:
                return
            if self._failed is not None and monotonic() < self._again:
                raise self._failed
            if not self._desk.is_loaded:
                await self._load()
            await self._stack.enter_async_context(self._desk.running())

    async def _load(self) -> None:
        try:
            changes = await to_thread.run_sync(self._desk.load)
        except CaveatError as error:
            self._failed, self._again = error, monotonic() + _PAUSE
            raise
        report(changes.news)

    async def obey(self, receive: Receive, send: Send) -> None:
        """Start and end as the server's messages say."""
        await receive()
        try:
            await self.start()
        except CaveatError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})
