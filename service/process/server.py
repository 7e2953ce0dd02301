"""Draining: a server that is told to stop admits no more requests, and answers those it has admitted."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from time import monotonic
from types import FrameType
from typing import Any, Final

import uvicorn

from caveat.service.desk.desk import Desk, tell_of_drain
from caveat.service.desk.monitoring import log
from caveat.service.desk.refusals import ConflictError, LateError
from caveat.service.process import signals
from caveat.service.process.wire.shedding import Shedding

_LAST_CALL: Final = 0.2
"""Seconds to read requests that are on their way: after a stop is requested, and after listening ends."""

_PAUSE: Final = 0.05
"""Seconds between two checks of the open connections."""


class Server(uvicorn.Server):
    """A uvicorn server that drains before it ends.

    Parameters
    ----------
    config
        uvicorn's configuration.
    desk
        Admits requests until the server is told to stop.
    shedding
        Holds the deferred connections, which are answered first.
    supervisor
        Process id of the supervisor; None if there is none. The server also stops when its supervisor ends.
        The supervisor sends SIGTERM to drain, which may come twice where a whole process group gets the
        signal, and SIGINT to stop at once.
    """

    def __init__(
        self, config: uvicorn.Config, desk: Desk, shedding: Shedding, supervisor: int | None
    ) -> None:
        super().__init__(config)
        self._desk = desk
        self._admission = desk.admission
        self._shedding = shedding
        self._drain = desk.settings.drain
        self._told_at: float | None = None
        self._at_once = False
        self._supervisor = supervisor
        self._reloading: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Start to drain; a second signal stops at once."""
        if self._admission.closing and (self._supervisor is None or sig == signal.SIGINT):
            self._at_once = True
        self._admission.close()

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to end; uvicorn calls this ten times a second."""
        await super().on_tick(counter)
        if self._supervisor not in (None, os.getppid()):
            self._admission.close()
        if self._may_reload and signals.reload_asked():
            self._reloading = asyncio.create_task(self._reload(), name="reload")
        if not self._admission.closing:
            return False
        waiting = self._admission.requests + self._shedding.waiting
        if self._told_at is None:
            self._told_at = monotonic()
            self._close_after_answers()
            tell_of_drain(waiting)
        return self._over or (not waiting and monotonic() - self._told_at >= _LAST_CALL)

    @property
    def _may_reload(self) -> bool:
        """Whether to look for a SIGHUP now; under a supervisor, that one does."""
        busy = self._reloading is not None and not self._reloading.done()
        return self._supervisor is None and self._desk.is_loaded and not busy

    async def _reload(self) -> None:
        log.event("reload", "SIGHUP: updating from the store")
        try:
            await self._desk.update("retry")
        except (ConflictError, LateError) as error:
            log.event("store", error.detail, "error")

    @property
    def _over(self) -> bool:
        """Whether to stop waiting for answers: told to stop at once, or the time to drain is over."""
        return self._at_once or monotonic() - (self._told_at or 0.0) >= self._drain

    def _close_after_answers(self) -> None:
        """Close each connection after the answer that is under way."""
        for connection in self.server_state.connections:
            cycle = connection.cycle  # type: ignore[union-attr]
            if cycle and not cycle.response_complete:
                connection.shutdown()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, wait for the open connections, and abort those that are left."""
        connecting = await self._accept_the_last(sockets or [])
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while (self.server_state.connections or not connecting.done()) and not self._over:
            await asyncio.sleep(_PAUSE)
        if self.server_state.connections:
            count = len(self.server_state.connections)
            within = "when told to stop at once" if self._at_once else f"within {self._drain:g} s (--drain)"
            words = f"connections cut off without an answer {within}: {count}"
            log.event("cut_off", words, "warning", connections=count)
        connecting.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1)

    async def _accept_the_last(self, sockets: Sequence[socket.socket]) -> "asyncio.Future[list[Any]]":
        """Stop listening, and accept the connections that are left in the system's queue."""
        last = sockets[0].dup()
        last.setblocking(False)
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()
        loop = asyncio.get_running_loop()
        connecting = []
        with last:
            while True:
                try:
                    accepted, _ = last.accept()
                except OSError:  # the queue is empty, or too many files are open
                    break
                connecting.append(
                    loop.create_task(
                        loop.connect_accepted_socket(self._protocol, accepted, ssl=self.config.ssl)
                    )
                )
        await asyncio.sleep(_LAST_CALL)  # until the requests of the last connections are read
        return asyncio.gather(*connecting, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )
