"""Sends whole answers at once, past uvicorn's checks of every header."""

from collections.abc import Sequence

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Replies:
    """Sends answers, and caches their first lines, which change once a second, with the date."""

    def __init__(self) -> None:
        self._headers: Sequence[tuple[bytes, bytes]] | None = None
        self._beginning = b""

    def send(self, send: Send, head: bytes, content: bytes) -> bool:
        """Send an answer of the status 200; see `caveat.service.rest.reply.Whole`."""
        cycle = getattr(send, "__self__", None)
        if not isinstance(cycle, RequestResponseCycle):
            return False
        if not cycle.keep_alive or cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
            return False  # the client is gone, reads slowly, or waits for the end of the connection
        headers = cycle.default_headers
        if headers is not self._headers:
            lines = [b"%b: %b\r\n" % header for header in headers]
            self._headers, self._beginning = headers, b"".join([b"HTTP/1.1 200 OK\r\n", *lines])
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.transport.write(b"".join((self._beginning, head, b"\r\n", content)))
        cycle.on_response()
        return True
