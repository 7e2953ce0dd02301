"""A transport that sends the head and the body of an answer together."""

import asyncio
from typing import Any


class Joining:
    """Wraps a transport, and joins the writes of one loop iteration into one system call."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._written: list[bytes] = []
        self._ended = False
        self.is_closing = transport.is_closing  # called often, so without __getattr__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes at the end of the loop iteration; bytes after `write_eof` are dropped."""
        if self._ended:
            return
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def write_eof(self) -> None:
        """Send the written bytes, then the end of the stream."""
        self._send()
        self._ended = True
        self._transport.write_eof()

    def close(self) -> None:
        """Close the connection once the written bytes are sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            if not self._transport.is_closing():  # the connection may have ended meanwhile
                self._transport.write(b"".join(self._written))
            self._written.clear()
