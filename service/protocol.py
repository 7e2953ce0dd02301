"""HTTP as uvicorn speaks it, with three differences.

What is no HTTP gets a problem document, too; the head and the body of an answer go out together; and
where there is no room for a request, it is refused unread.
"""

import asyncio
from functools import partial
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import MEDIA_TYPE, problem
from service.headers import EVERYWHERE
from service.refusals import Refusals

JOB: Final = "job"
"""Where the state of a request has the job that its client waits for."""


class Protocol(HttpToolsProtocol):
    """One connection.

    Parameters
    ----------
    refusals
        Of requests beyond those that may be in the service.
    """

    def __init__(self, *args: Any, refusals: Refusals, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusals = refusals
        self._reading = False  # in the midst of a request
        self._unread = 0  # bytes still to come of a request that was refused
        self._refused_at = 0.0
        self._put_off = False  # waits, unread, for its request to be taken in or refused

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._unread:
            unread, self._unread = self._unread, max(0, self._unread - len(data))
            data = data[unread:]
        if data and not (self._full and self._turn_away(data)):
            super().data_received(data)

    @property
    def _full(self) -> bool:
        return len(self.tasks) >= self._refusals.most

    def _turn_away(self, data: bytes) -> bool:
        """Refuse a request that has just begun, at once or later, if it can be; tell whether it is."""
        busy = self._reading or self.flow.write_paused or (self.cycle and not self.cycle.response_complete)
        recognised = None if busy else self._refusals.recognised(data)
        if recognised is None:
            return False
        if self._refusals.at_once():
            self._refuse(*recognised)
        else:
            self._put_off = True
            self.transport.pause_reading()
            self._refusals.put_off(partial(self._look_again, data, recognised))
        return True

    def _look_again(self, data: bytes, recognised: tuple[str, int]) -> bool:
        """Take a request that was put off in, or refuse it; tell whether it was refused."""
        self._put_off = False
        if self.transport.is_closing():
            return False
        self.transport.resume_reading()
        if refused := self._full:
            self._refuse(*recognised)
        else:
            super().data_received(data)
        return refused

    def _refuse(self, route: str, unread: int) -> None:
        self._refusals.count(route)
        self._unread = unread
        self._refused_at = self.loop.time()
        self.transport.write(self._refusals.answer)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._reading = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """End a request."""
        self._reading = False
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, which has been idle, unless a request was refused or put off meanwhile."""
        idle_since = self.loop.time() if self._put_off else self._refused_at
        left = idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(Joining(transport))  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """Lose the connection: nobody waits for what is being worked on."""
        super().connection_lost(exc)
        if self.scope and (job := self.scope["state"].get(JOB)):
            job.fail(ClientDisconnect())

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request, and close the connection."""
        content = orjson.dumps(problem(400, f"not HTTP: {msg}"))
        safe = "".join(f"{name}: {value}\r\n" for name, value in EVERYWHERE.items())
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(content)}\r\n"
            f"{safe}Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.close()


class Joining:
    """A transport that sends what is written in one go with one call of the system."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes, together with those that follow at once."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        """Close the connection once all is sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            self._transport.write(b"".join(self._written))
            self._written.clear()
