"""The start and end of the application under any ASGI server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from anyio import to_thread
from starlette.types import Receive, Send

from caveat.models.errors import CaveatError
from caveat.service.desk.desk import Desk
from caveat.service.desk.monitoring import log
from caveat.service.desk.versions.watch import report

_PAUSE: Final = 2.0
"""Seconds between two attempts to load a store that can't be served."""


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
        self._has_ended = False  # in this loop
        self.is_starting = False
        """Whether a request waits for the first attempt to load."""

    @asynccontextmanager
    async def __call__(self, _app: object) -> AsyncIterator[None]:
        """Start, and end after the block.

        Raises
        ------
        CaveatError
            If the store can't be served.
        """
        await self._start()
        try:
            yield
        finally:
            await self._end()

    async def obey(self, receive: Receive, send: Send) -> None:
        """Start and end as the server's messages say."""
        await receive()
        try:
            await self._start()
        except Exception as error:
            if not isinstance(error, CaveatError):
                log.failure("start", "the service can't start", error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._end()
        await send({"type": "lifespan.shutdown.complete"})

    async def start_unasked(self) -> None:
        """Start for a request that nothing has started the service for; wait for one attempt to load.

        A store that can't be served is tried again and again, and requests are refused meanwhile. What has
        ended in this loop stays so.
        """
        self._enter_loop()
        async with self._starting:
            if self._has_ended or self._desk.loop is self._loop:
                return
            self.is_starting = True
            await self._stack.enter_async_context(self._desk.running())
            tried = asyncio.Event()
            loading = asyncio.create_task(self._keep_loading(tried), name="load")
            self._stack.callback(loading.cancel)
            try:
                await tried.wait()
            finally:
                self.is_starting = False

    async def _start(self) -> None:
        self._enter_loop()
        async with self._starting:
            if self._desk.loop is not self._loop:
                await self._stack.enter_async_context(self._desk.running())
            try:
                await self._load()
            except BaseException:
                await self._end()
                raise
            self._has_ended = False

    async def _end(self) -> None:
        self._has_ended = True
        await self._stack.aclose()

    def _enter_loop(self) -> None:
        """Forget what belongs to an event loop that has ended.

        Raises
        ------
        RuntimeError
            If the desk runs in another one.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._desk.loop is not None and self._desk.loop.is_running():
                raise RuntimeError(
                    "this application runs in another event loop; make one for each with create_app"
                )
            self._loop, self._has_ended, self.is_starting = loop, False, False
            self._starting, self._stack = asyncio.Lock(), AsyncExitStack()

    async def _load(self) -> None:
        if not self._desk.is_loaded:
            report((await to_thread.run_sync(self._desk.load)).news)

    async def _keep_loading(self, tried: asyncio.Event) -> None:
        """Load the store, again and again until it can be served; ``tried`` is set after the first time."""
        told = ""
        while not tried.is_set() or not self._desk.is_loaded:
            try:
                await self._load()
            except Exception as error:
                if str(error) != told and isinstance(error, CaveatError):
                    log.event("store", str(error), "error")
                elif str(error) != told:
                    log.failure("store", "the store can't be loaded", error)
                told = str(error)
                tried.set()
                await asyncio.sleep(_PAUSE)
            tried.set()
