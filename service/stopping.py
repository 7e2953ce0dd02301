"""How a server ends: nobody else comes in, and all who came have their answers."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from time import monotonic
from types import FrameType
from typing import Any, Final

import uvicorn

from caveat.service.endpoints import Endpoints
from caveat.service.monitoring import logs
from caveat.service.wire.refusals import Refusals

_LAST_CALL: Final = 0.2
"""Seconds in which requests that are under way are read: once told to stop, and once nobody is let in."""

_PAUSE: Final = 0.05
"""Seconds between looks at who is still there."""


class Server(uvicorn.Server):
    """Told to stop, lets nobody else in and ends when all who are in have their answers.

    Parameters
    ----------
    endpoints
        Of the application: who is in, what is told of them, and the seconds after which those who have no
        answer yet are cut off.
    supervised
        Whether the parent is a supervisor, without which nobody would stop this process. It says SIGTERM,
        which may come twice where a whole group of processes is told, and SIGINT to stop at once.
    """

    def __init__(
        self, config: uvicorn.Config, endpoints: Endpoints, refusals: Refusals, supervised: bool
    ) -> None:
        super().__init__(config)
        self._door = endpoints.door
        self._ledger = endpoints.ledger
        self._refusals = refusals
        self._drain = endpoints.settings.drain
        self._told_at: float | None = None
        self._at_once = False
        self._supervisor = os.getppid() if supervised else None

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Begin to stop; a second signal stops at once."""
        if self._door.closing and (self._supervisor is None or sig == signal.SIGINT):
            self._at_once = True
        self._door.close()

    async def on_tick(self, counter: int) -> bool:
        """Tell, several times a second, whether to end."""
        await super().on_tick(counter)
        if self._supervisor not in (None, os.getppid()):
            self._door.close()
        self._ledger.fold()
        if not self._door.closing:
            return False
        waiting = self._door.requests + self._refusals.waiting
        if self._told_at is None:
            self._told_at = monotonic()
            self._close_after_answers()
            logs.event("drain", f"told to stop; {waiting} requests are answered first", requests=waiting)
        return self._over or (not waiting and monotonic() - self._told_at >= _LAST_CALL)

    @property
    def _over(self) -> bool:
        """Whether those who have no answer yet are waited for no longer."""
        return self._at_once or monotonic() - (self._told_at or 0.0) >= self._drain

    def _close_after_answers(self) -> None:
        """Let the answers that are being made be the last ones on their connections."""
        for connection in self.server_state.connections:
            cycle = connection.cycle  # type: ignore[union-attr]
            if cycle and not cycle.response_complete:
                connection.shutdown()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, and wait for those who are still there."""
        connecting = await self._accept_the_last(sockets or [])
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while (self.server_state.connections or not connecting.done()) and not self._over:
            await asyncio.sleep(_PAUSE)
        if self.server_state.connections:
            count = len(self.server_state.connections)
            within = "when told to stop at once" if self._at_once else f"within {self._drain:g} s (--drain)"
            words = f"connections cut off that had no answer {within}: {count}"
            logs.event("cut_off", words, "warning", connections=count)
        connecting.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1)

    async def _accept_the_last(self, sockets: Sequence[socket.socket]) -> "asyncio.Future[list[Any]]":
        """Stop listening, and take those who have been connected by the system, but not by us."""
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
                except OSError:  # nobody, or too many files
                    break
                connecting.append(
                    loop.create_task(
                        loop.connect_accepted_socket(self._protocol, accepted, ssl=self.config.ssl)
                    )
                )
        await asyncio.sleep(_LAST_CALL)  # until what the last of them have sent is read
        return asyncio.gather(*connecting, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )
