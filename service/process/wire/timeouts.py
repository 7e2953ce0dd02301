"""Timeouts of clients: for sending their requests, and for reading their answers."""

import asyncio
from itertools import takewhile
from time import monotonic
from typing import Final, Protocol

_UNREAD: Final = 2**28
"""Bytes (256 MiB) of unread answers at most, over all clients."""

_PAUSE: Final = 0.01
"""Seconds between two checks at least."""


class Client(Protocol):
    """A client's connection, which a timeout can end."""

    def time_out(self) -> None:
        """End the connection after a timeout."""

    def make_room(self) -> None:
        """End the connection for a newer one."""


class Timeouts:
    """Ends the connections of clients that take too long.

    One timer serves all clients: a timer per client would cost more than parsing a request's head.

    Parameters
    ----------
    seconds
        The timeout.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._owing: dict[Client, float] = {}  # when the service began to wait, the oldest first
        self._unread: dict[Client, int] = {}  # bytes of unread answers
        self._idle: dict[Client, None] = {}  # those who owe nothing and are owed nothing, the oldest first
        self._is_due = False  # whether a check is due
        self.arriving: set[Client] = set()
        """Clients whose requests are in the service while their bodies are still arriving."""

    def begin(self, client: Client) -> None:
        """Start the timeout of a client, unless it runs already."""
        if client in self._owing:
            return
        self._idle.pop(client, None)
        self._owing[client] = monotonic()
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(self._seconds, self._check)

    def end(self, client: Client) -> None:
        """Stop the timeout: the client has sent or read what was due, or is gone."""
        self._owing.pop(client, None)

    def rest(self, client: Client) -> None:
        """Note that a client is idle, until it begins to owe or `forget` is called."""
        self._idle[client] = None

    def forget(self, client: Client) -> None:
        """Stop all timeouts of a client, which is gone or waits for its turn."""
        self._idle.pop(client, None)
        self.end_unread(client)

    def make_room(self, newest: Client) -> bool:
        """End a connection for the newest: the one idle for longest, or else the one owing for longest.

        Returns
        -------
        bool
            False if there is none, as all others wait for their answers.
        """
        for clients in (self._idle, self._owing):
            oldest = next(iter(clients), newest)
            if oldest is not newest:
                self.forget(oldest)
                oldest.make_room()
                return True
        return False

    def begin_unread(self, client: Client, count: int) -> None:
        """Start the timeout for reading an answer, of which ``count`` bytes are unread.

        If the unread answers of all clients hold too many bytes, the clients that began first are ended.
        """
        self.begin(client)
        self._unread[client] = count
        while sum(self._unread.values()) > _UNREAD and len(self._unread) > 1:
            slowest = next(iter(self._unread))
            self.end_unread(slowest)
            slowest.time_out()

    def end_unread(self, client: Client) -> None:
        """Stop the timeout: the client has read its answer, or is gone."""
        self._unread.pop(client, None)
        self.end(client)

    def _check(self) -> None:
        self._is_due = False
        over = monotonic() - self._seconds
        late = list(takewhile(lambda client: self._owing[client] <= over, self._owing))
        for client in late:
            self.end(client)
        if self._owing:
            oldest = next(iter(self._owing.values()))
            self._is_due = True
            asyncio.get_running_loop().call_later(max(oldest - over, _PAUSE), self._check)
        for client in late:
            client.time_out()
