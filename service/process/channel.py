"""A channel: carries messages between two processes, neither of which ever waits for the other."""

import pickle
import socket
from contextlib import suppress
from struct import Struct
from typing import Final, Self

_LENGTH: Final = Struct("!I")

_CHUNK: Final = 2**16
"""Bytes that are read at once."""

_MOST: Final = 2**24
"""Bytes (16 MiB) of the longest message, and of those that wait to be sent; one beyond is lost, as its reader
has long stopped."""


class Channel:
    """One end of a connection to another process of this service.

    A message that does not fit into the connection waits here until `flush`.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.ended = False
        """Whether the other end is closed, or sends nonsense; messages to it are lost."""
        self._socket = end
        self._read = bytearray()
        self._waiting = bytearray()

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Make both ends of a connection."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    @property
    def unsent(self) -> int:
        """Number of bytes that wait to be sent."""
        return len(self._waiting)

    def fileno(self) -> int:
        """Give the file descriptor, which is readable once a message has come or the other end is closed."""
        return self._socket.fileno()

    def send(self, message: object) -> None:
        """Send a message, or the part of it that fits for now."""
        content = pickle.dumps(message)
        if len(self._waiting) + len(content) <= _MOST:
            self._waiting += _LENGTH.pack(len(content)) + content
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as it fits."""
        while self._waiting and not self.ended:
            try:
                del self._waiting[: self._socket.send(self._waiting)]
            except BlockingIOError:
                return
            except OSError:
                self.ended = True

    def receive(self) -> list[object]:
        """Read the messages that have come."""
        with suppress(BlockingIOError):
            while not self.ended:
                self._receive_some()
        return list(iter(self._next, None))

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _receive_some(self) -> None:
        try:
            chunk = self._socket.recv(_CHUNK)
        except ConnectionError:
            chunk = b""
        self._read += chunk
        self.ended = not chunk

    def _next(self) -> object | None:
        """Take the next whole message."""
        if len(self._read) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._read)
        end = _LENGTH.size + length
        if len(self._read) < end and length <= _MOST:
            return None
        try:  # only a process of this service has the other end, but it may be damaged
            message: object = pickle.loads(self._read[_LENGTH.size : end])  # noqa: S301
        except Exception:
            self.ended = True
            return None
        del self._read[:end]
        return message
