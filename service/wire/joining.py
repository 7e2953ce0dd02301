"""A transport of uvicorn's, so that the head and the body of an answer go out together."""

import asyncio
from typing import Any


class Joining:
    """A transport that sends what is written in one go with one call of the system."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._written: list[bytes] = []
        self._ended = False
        self.is_closing = transport.is_closing  # asked often

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes, together with those that follow at once; none behind the end."""
        if self._ended:
            return
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def write_eof(self) -> None:
        """Send what is written, and no more."""
        self._send()
        self._ended = True
        self._transport.write_eof()

    def close(self) -> None:
        """Close the connection once all is sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            if not self._transport.is_closing():  # cut off meanwhile
                self._transport.write(b"".join(self._written))
            self._written.clear()
