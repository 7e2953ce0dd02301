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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from caveat.service.desk.monitoring.record import ELSEWHERE, Outcome, Record
from caveat.service.desk.monitoring.reports import Reports
from caveat.service.process.wire import framing
from caveat.service.process.wire.flow import Flow
from caveat.service.process.wire.joining import Joining
from caveat.service.process.wire.last_answer import last_answer
from caveat.service.process.wire.leaving import Leaving
from caveat.service.process.wire.timeouts import Timeouts
from caveat.service.rest import request_id

_LARGEST_HEAD: Final = 2**14
"""Bytes (16 KiB) of a request's head, or of the framing between two chunks of its body, at most."""

_SLICE: Final = 2**12
"""Bytes (4 KiB) that are parsed in one turn of the event loop where lines are short: each may be a head or a
chunk, and take a microsecond."""

_LINE: Final = 64
"""Bytes of a line on average, below which lines are short."""

_DISCARDED: Final = 5e7
"""Bytes (50 MB) in a second of a refused request that are read, for the client to find its answer."""

_LINGER: Final = 2.0
"""Seconds for which a refused client may still read the reason."""

_CROWDED: Final = "too many connections are open; try again shortly"

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, with 0 seconds: closing resets the connection."""


class Connection(HttpToolsProtocol):
    """One connection.

    Parameters
    ----------
    timeouts
        Timeouts of all connections.
    leaving
        Closes idle connections that their clients have left.
    reports
        Takes the records of requests that are refused here.
    most_connections
        Number of connections that may be open. For a further one, the one idle for longest ends, or the one
        that has owed its request for longest; it gets a 503 where all others wait for their answers.
    """

    flow: Flow

    def __init__(
        self,
        *args: Any,
        timeouts: Timeouts,
        leaving: Leaving,
        reports: Reports,
        most_connections: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._leaving = leaving
        self._reports = reports
        self._timeouts = timeouts
        self._most_connections = most_connections
        self._reading = False  # within a request
        self._in_body = False  # within the body of a request
        self._frame = 0  # bytes since the last bytes of a body
        self._left = 0  # bytes of a body of stated length that are still to come
        self._held = b""  # bytes that wait for the answer to the request before them, or for the next turn
        self._closing = False  # closing: further bytes from the client are ignored
        self._last: tuple[int, str] | None = None  # refusal to send once the requests before are answered

    def connection_made(self, transport: Any) -> None:
        """Accept a connection; beyond the most, another one ends, or this one gets a 503."""
        super().connection_made(Joining(transport))  # type: ignore[arg-type]
        self.flow = Flow(self.transport)
        self._timeouts.begin(self)
        if len(self.connections) > self._most_connections and not self._timeouts.make_room(self):
            self.refuse(503, _CROWDED, linger=False)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Close the connection; an idle one in its turn, as a crowd may leave at once."""
        if not self._unanswered and self.scheme == "http":
            self._closing = True
            self._leaving.add(self.transport.close)
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection."""
        super().connection_lost(exc)
        self._timeouts.forget(self)
        self._timeouts.arriving.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, or hold them while a request before them waits for its answer.

        Bytes of many short lines are parsed over several turns of the event loop.
        """
        self._unset_keepalive_if_required()
        if self._closing:
            self.discard(len(data))
            return
        if self._answering or self._held:
            self._hold(data)
            return
        self._timeouts.begin(self)
        if len(data) <= self._left or (framing.is_one(data) and self._frame + len(data) <= _LARGEST_HEAD):
            self._parse(data)
            return
        later = b""
        if len(data) > _SLICE and data.count(b"\n", self._left) > len(data) // _LINE:
            data, later = data[:_SLICE], data[_SLICE:]
        while data and not (self._closing or self._answering):
            end = self._left or framing.end_of_head(data)
            self._parse(data[:end])
            data = data[end:]
        if self._closing or not (data or later):
            return
        self._hold(data + later)
        if not self._answering:
            self.loop.call_soon(self._go_on)

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

    def discard(self, count: int) -> None:
        """Pause after some bytes that nobody needs: at full speed they would take the event loop's time."""
        if not self.flow.held:
            self.flow.hold()
            self.loop.call_later(count / _DISCARDED, self._read_on)

    def _read_on(self) -> None:
        if not (self._held or self.transport.is_closing()):
            self.flow.release()

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.flow.hold()

    def _go_on(self) -> None:
        """Parse the held bytes."""
        if self._held and not self.transport.is_closing():
            held, self._held = self._held, b""
            self.flow.release()
            self.data_received(held)

    def _parse(self, data: bytes) -> None:
        self._frame += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self._frame <= _LARGEST_HEAD:
                self.refuse(*framing.reason(error))
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
            self._left = framing.length(self.headers, self.parser.get_http_version())
            super().on_headers_complete()
            self.headers = []  # trailers are no headers
            self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Pass on a part of a body."""
        self._frame = 0
        if self._left:
            self._left -= len(body)
        if self.cycle.response_complete:
            self.discard(len(body))
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
            return
        self._timeouts.rest(self)
        if self._last and not self._unanswered:
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
            self._reset()
        elif self._owes:
            self.refuse(408, "the request did not arrive in time; send it faster, or as several requests")
        else:
            self.transport.close()
            self._timeouts.begin(self)

    def make_room(self) -> None:
        """End the connection for a newer one; a client whose body is arriving is told why."""
        if self._in_body and self._owes and not (self._closing or self.flow.write_paused):
            self.refuse(503, _CROWDED, linger=False)
        else:
            self._reset()

    @property
    def _owes(self) -> bool:
        """Whether a request has begun to arrive, which has no answer yet."""
        return self._reading and not (self._in_body and self.cycle.response_complete)

    def _reset(self) -> None:
        """End the connection; the system discards the rest of the answer, which it would else send."""
        with suppress(OSError, ValueError):  # the socket may be closed already
            held = self.transport.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

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
        self.transport.write(last_answer(status, detail, name))
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if linger and self.transport.can_write_eof():
            # Closing with bytes unread would reset the connection, and the client would lose the reason.
            self.transport.write_eof()
            self._timeouts.rest(self)
            self.loop.call_later(_LINGER, self.transport.abort)
        else:
            self.transport.close()
