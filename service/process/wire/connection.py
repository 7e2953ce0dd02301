"""One connection, with limits on the bytes that it holds and on the time that its client may take.

httptools has no limits of its own, and uvicorn parses every request as it arrives. Here the size of a head
is limited, and pipelined bytes stay unparsed until the request before them is answered.
"""

import socket
import struct
from contextlib import suppress
from time import perf_counter
from typing import Any, Final

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from caveat.service.desk.monitoring.record import ELSEWHERE, Outcome, Record
from caveat.service.desk.monitoring.reports import Reports
from caveat.service.process.wire import framing
from caveat.service.process.wire.joining import Joining
from caveat.service.process.wire.timeouts import Timeouts
from caveat.service.rest import request_id
from caveat.service.rest.headers import EVERYWHERE
from caveat.service.rest.problems import MEDIA_TYPE, problem, title

_LARGEST_HEAD: Final = 2**14
"""Bytes (16 KiB) of a request's head, or of the framing between two chunks of its body, at most."""

_END: Final = b"\r\n\r\n"
"""The end of a head."""

_LINGER: Final = 2.0
"""Seconds for which a refused client may still read the reason."""

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, with 0 seconds: closing resets the connection."""


class Connection(HttpToolsProtocol):
    """One connection.

    Parameters
    ----------
    timeouts
        Timeouts of all connections.
    reports
        Takes the records of requests that are refused here.
    most_connections
        Number of connections that may be open; further ones get a 503.
    """

    def __init__(
        self, *args: Any, timeouts: Timeouts, reports: Reports, most_connections: int, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._reports = reports
        self._timeouts = timeouts
        self._most_connections = most_connections
        self._reading = False  # within a request
        self._in_body = False  # within the body of a request
        self._frame = 0  # bytes since the last bytes of a body
        self._held = b""  # pipelined bytes behind a request that has no answer yet
        self._closing = False  # closing: further bytes from the client are ignored
        self._last: tuple[int, str] | None = None  # refusal to send once the requests before are answered

    def connection_made(self, transport: Any) -> None:
        """Accept a connection; too many get a 503."""
        super().connection_made(Joining(transport))  # type: ignore[arg-type]
        self.flow = Flow(self.transport)
        self._timeouts.begin(self)
        if len(self.connections) > self._most_connections:
            self.refuse(503, "too many connections are open; try again shortly", linger=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection."""
        super().connection_lost(exc)
        self._timeouts.end_unread(self)
        self._timeouts.arriving.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, or hold them while a request before them waits for its answer."""
        self._unset_keepalive_if_required()
        if self._closing:
            return
        if self._answering:
            self._hold(data)
            return
        self._timeouts.begin(self)
        newline = data.rfind(b"\n")
        one = newline < 0 or newline == data.find(_END) + 3
        if one and self._frame + len(data) <= _LARGEST_HEAD:
            self._parse(data)
            return
        while data and not self._closing:
            end = _end_of_head(data)
            self._parse(data[:end])
            data = data[end:]
            if data and self._answering:
                self._hold(data)
                return

    @property
    def _answering(self) -> bool:
        """Whether a complete request waits for its answer, and no further request has begun to arrive."""
        if self.pipeline:
            return True
        return not (self._reading or self.cycle is None or self.cycle.response_complete)

    @property
    def _unanswered(self) -> bool:
        """Whether a complete request waits for its answer."""
        return bool(self.cycle and not self.cycle.response_complete and not self._in_body)

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.flow.hold()  # type: ignore[attr-defined]

    def _go_on(self) -> None:
        """Parse the held bytes."""
        if not self.transport.is_closing():
            held, self._held = self._held, b""
            self.flow.release()  # type: ignore[attr-defined]
            self.data_received(held)

    def _parse(self, data: bytes) -> None:
        self._frame += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, framing.FramingError):
                self.refuse(cause.status, cause.detail)
            elif self._frame <= _LARGEST_HEAD:
                reason = "an invalid head" if cause else str(error).rstrip(".").lower()
                self.refuse(400, f"not HTTP: {reason}")
        if self._frame > _LARGEST_HEAD and not self._closing:
            self.refuse(431, f"the head is longer than {_LARGEST_HEAD} bytes")
        if self._in_body and not self.cycle.response_complete:
            self._timeouts.arriving.add(self)

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Parse a request that asks to upgrade the protocol as if it had not asked.

        The parser stops at such a head. Java's HTTP client asks for an upgrade in every first request, and
        sends the body along.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.refuse(400, "not HTTP: CONNECT is for proxies")
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._frame = 0
        self._parse(b"\r\n".join([*lines, b"", b""]))
        if rest and not self._closing:
            self._parse(rest)

    def on_message_begin(self) -> None:
        """Note the begin of a request."""
        self._reading = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start answering a request."""
        if self._frame > _LARGEST_HEAD:
            raise ValueError  # stops the parser
        if not self.parser.should_upgrade():
            framing.check(self.headers, self.parser.get_http_version())
            super().on_headers_complete()
            self.headers = []  # trailers are no headers
            self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Pass on a part of a body."""
        self._frame = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        if self._in_body:
            self._reading = self._in_body = False
            self._frame = 0
            self._timeouts.end(self)
            if self._timeouts.arriving:
                self._timeouts.arriving.discard(self)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note the end of an answer; parse the held bytes next."""
        super().on_response_complete()
        if self._in_body:
            self._timeouts.arriving.discard(self)
        if self.transport.is_closing():
            self._timeouts.begin(self)  # until the answer is sent
        elif self._last and not self._unanswered:
            self.refuse(*self._last)
        elif self._held and not self._answering:
            self.loop.call_soon(self._go_on)

    def pause_writing(self) -> None:
        """Start the timeout for the client to read its answer."""
        super().pause_writing()
        self._timeouts.begin_unread(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """End the timeout: the client has read enough of its answer."""
        super().resume_writing()
        self._timeouts.end_unread(self)

    def timeout_keep_alive_handler(self) -> None:
        """Close the idle connection."""
        super().timeout_keep_alive_handler()
        self._timeouts.begin(self)  # until everything is sent

    def time_out(self) -> None:
        """End the connection after a timeout."""
        if self.flow.write_paused or self.transport.is_closing():
            # A reset makes the system discard the rest of the answer, which it would else keep sending.
            with suppress(OSError, ValueError):  # the socket may be closed already
                held = self.transport.get_extra_info("socket")
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        elif self._reading and not (self._in_body and self.cycle.response_complete):
            self.refuse(408, "the request did not arrive in time; send it faster, or as several requests")
        else:
            self.transport.close()
            self._timeouts.begin(self)

    def refuse(self, status: int, detail: str, linger: bool = True) -> None:
        """Refuse a request with a problem document, and close the connection."""
        self._closing = True
        self._timeouts.end(self)
        if self._unanswered:
            self._last = (status, detail)
            return
        name = request_id.of(dict(self.scope["headers"]) if self._reading else {})
        outcome: Outcome = "unready" if status == 503 else "refused"
        self._reports.enter(
            Record(name, ELSEWHERE, perf_counter(), code=status, outcome=outcome, detail=detail)
        )
        content = orjson.dumps(problem(status, detail, name))
        safe = "".join(f"{header}: {value}\r\n" for header, value in EVERYWHERE.items())
        head = (
            f"HTTP/1.1 {status} {title(status)}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(content)}\r\n{safe}"
            f"{request_id.HEADER}: {name}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if linger and self.transport.can_write_eof():
            # Closing with bytes unread would reset the connection, and the client would lose the reason.
            self.transport.write_eof()
            self.loop.call_later(_LINGER, self.transport.abort)
        else:
            self.transport.close()


class Flow(FlowControl):
    """Flow control that reads nothing while bytes are held."""

    _held = False

    def hold(self) -> None:
        """Stop reading until `release`, whatever else resumes it."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        """Resume reading."""
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless bytes are held."""
        if not self._held:
            super().resume_reading()


def _end_of_head(data: bytes) -> int:
    """Find the end of the first head in some bytes, or else the end of the bytes."""
    end = data.find(_END) if data.rfind(b"\n") >= 0 else -1  # bodies rarely hold newlines; rfind is fast
    return end + len(_END) if end >= 0 else len(data)
