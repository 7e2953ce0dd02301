"""One connection, held to limits: of what it may hold, and of how long its client is waited for.

httptools has no limits of its own, and uvicorn takes up every request that has come. Here a head has a
largest size, and bytes behind a request wait, unparsed, for its answer.
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

from caveat.service.content.headers import EVERYWHERE
from caveat.service.errors import MEDIA_TYPE, problem, title
from caveat.service.monitoring import request_id
from caveat.service.monitoring.ledger import Ledger
from caveat.service.monitoring.record import ELSEWHERE, Record
from caveat.service.wire.joining import Joining
from caveat.service.wire.patience import Patience

_LARGEST_HEAD: Final = 2**16
"""Bytes (64 KiB) of a request that are not of its body, in one go: its head, or what frames a chunk."""

_END: Final = b"\r\n\r\n"
"""What ends a head."""

_LINGER: Final = 2.0
"""Seconds for which a client that was turned away may take the reason."""

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""


class Connection(HttpToolsProtocol):
    """One connection.

    Parameters
    ----------
    patience
        With the clients of all connections.
    ledger
        Takes the records of requests that get no further than here.
    most_connections
        That may be open; the next ones are turned away.
    """

    def __init__(
        self, *args: Any, patience: Patience, ledger: Ledger, most_connections: int, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._ledger = ledger
        self._patience = patience
        self._most_connections = most_connections
        self._reading = False  # in the midst of a request
        self._in_body = False  # past the head of it
        self._frame = 0  # bytes since the last ones of a body
        self._held = b""  # bytes behind a request that has no answer yet
        self._deaf = False  # turned away: what else it sends is not heard
        self._last: tuple[int, str] | None = None  # why, once the requests before are answered

    def connection_made(self, transport: Any) -> None:
        """Take a connection, unless there are too many."""
        super().connection_made(Joining(transport))  # type: ignore[arg-type]
        self.flow = Flow(self.transport)
        self._patience.begin(self)
        if len(self.connections) > self._most_connections:
            self.turn_away(503, "too many connections are open; ask again shortly", linger=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Lose the connection."""
        super().connection_lost(exc)
        self._patience.end_unread(self)
        self._patience.arriving.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes up, or hold them where a request before them waits for its answer."""
        self._unset_keepalive_if_required()
        if self._deaf:
            return
        if self._answering:
            self._hold(data)
            return
        self._patience.begin(self)
        newline = data.rfind(b"\n")
        one = newline < 0 or newline == data.find(_END) + 3
        if one and self._frame + len(data) <= _LARGEST_HEAD:
            self._parse(data)
            return
        while data and not self._deaf:
            end = _end_of_head(data)
            self._parse(data[:end])
            data = data[end:]
            if data and self._answering:
                self._hold(data)
                return

    @property
    def _answering(self) -> bool:
        """Whether a request that has come whole has no answer yet, and no other has begun to come."""
        if self.pipeline:
            return True
        return not (self._reading or self.cycle is None or self.cycle.response_complete)

    @property
    def _unanswered(self) -> bool:
        """Whether a request that has come whole has no answer yet."""
        return bool(self.cycle and not self.cycle.response_complete and not self._in_body)

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.flow.hold()  # type: ignore[attr-defined]

    def _go_on(self) -> None:
        """Take up what was held."""
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
            if self._frame <= _LARGEST_HEAD:
                reason = "an invalid head" if error.__context__ else str(error).rstrip(".").lower()
                self.turn_away(400, f"not HTTP: {reason}")
        if self._frame > _LARGEST_HEAD and not self._deaf:
            self.turn_away(431, f"the head is longer than {_LARGEST_HEAD} bytes")
        if self._in_body and not self.cycle.response_complete:
            self._patience.arriving.add(self)

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Take a request that wishes for another protocol as one that does not.

        The parser ends at such a head. Java's client sends this with every first request, with its body
        behind.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.turn_away(400, "not HTTP: CONNECT is for proxies")
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._frame = 0
        self._parse(b"\r\n".join([*lines, b"", b""]))
        if rest and not self._deaf:
            self._parse(rest)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._reading = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let a request begin to be answered."""
        if self._frame > _LARGEST_HEAD:
            raise ValueError  # which ends the parser
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._frame = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._in_body:
            self._reading = self._in_body = False
            self._frame = 0
            self._patience.end(self)
            if self._patience.arriving:
                self._patience.arriving.discard(self)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer; what was held is next."""
        super().on_response_complete()
        if self._in_body:
            self._patience.arriving.discard(self)
        if self.transport.is_closing():
            self._patience.begin(self)  # until all is sent
        elif self._last and not self._unanswered:
            self.turn_away(*self._last)
        elif self._held and not self._answering:
            self.loop.call_soon(self._go_on)

    def pause_writing(self) -> None:
        """Wait for the client to take its answer."""
        super().pause_writing()
        self._patience.begin_unread(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on: the client takes its answer."""
        super().resume_writing()
        self._patience.end_unread(self)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, which has been idle."""
        super().timeout_keep_alive_handler()
        self._patience.begin(self)  # until all is sent

    def give_up(self) -> None:
        """End the connection: its client was waited for long enough."""
        if self.flow.write_paused or self.transport.is_closing():
            # Reset, so that the system does not go on to offer the rest of the answer.
            with suppress(OSError, ValueError):  # it is closed already, but for our being told
                held = self.transport.get_extra_info("socket")
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        elif self._reading and not (self._in_body and self.cycle.response_complete):
            self.turn_away(408, "the request was not there in time; send it faster, or in parts")
        else:
            self.transport.close()
            self._patience.begin(self)

    def turn_away(self, status: int, detail: str, linger: bool = True) -> None:
        """Answer with a problem what is no request to answer, and end the connection."""
        self._deaf = True
        self._patience.end(self)
        if self._unanswered:
            self._last = (status, detail)
            return
        name = request_id.of(dict(self.headers) if self._reading else {})
        self._ledger.enter(Record(name, ELSEWHERE, perf_counter(), code=status, detail=detail))
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
            # Closed with bytes unread, the connection would be reset, and the reason lost with it.
            self.transport.write_eof()
            self.loop.call_later(_LINGER, self.transport.abort)
        else:
            self.transport.close()


class Flow(FlowControl):
    """Reads nothing while there is something held."""

    _held = False

    def hold(self) -> None:
        """Stop reading until released, whoever else wishes to read on."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        """Read on."""
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless something is held."""
        if not self._held:
            super().resume_reading()


def _end_of_head(data: bytes) -> int:
    """Tell where the first head in some bytes ends, or else where they end."""
    end = data.find(_END) if data.rfind(b"\n") >= 0 else -1  # rarely one in a body, and found at once
    return end + len(_END) if end >= 0 else len(data)
