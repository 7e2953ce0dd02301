"""How long clients are waited for: to send their requests, and to take their answers."""

import asyncio
from itertools import takewhile
from time import monotonic
from typing import Final, Protocol

_UNREAD: Final = 2**28
"""Bytes (256 MiB) of answers that may wait for their clients, all together."""

_PAUSE: Final = 0.01
"""Seconds between looks at least."""


class Client(Protocol):
    """Whom the service waits for."""

    def give_up(self) -> None:
        """End it: it was waited for long enough."""


class Patience:
    """Gives up clients that keep the service waiting for too long.

    One timer serves all of them: one for each would cost more than a request's head.

    Parameters
    ----------
    seconds
        How long a client is waited for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._owing: dict[Client, float] = {}  # since when, the longest first
        self._unread: dict[Client, int] = {}
        self._looks = False
        self.arriving: set[Client] = set()
        """Those whose requests are being answered, but for the rest of their bodies."""

    def begin(self, client: Client) -> None:
        """Wait for a client, unless it is waited for already."""
        if client in self._owing:
            return
        self._owing[client] = monotonic()
        if not self._looks:
            self._looks = True
            asyncio.get_running_loop().call_later(self._seconds, self._look)

    def end(self, client: Client) -> None:
        """Wait no longer: the client has done what it was waited for, or is gone."""
        self._owing.pop(client, None)

    def begin_unread(self, client: Client, count: int) -> None:
        """Wait for a client to take an answer; where too much waits, give up those who wait longest."""
        self.begin(client)
        self._unread[client] = count
        while sum(self._unread.values()) > _UNREAD and len(self._unread) > 1:
            slowest = next(iter(self._unread))
            self.end_unread(slowest)
            slowest.give_up()

    def end_unread(self, client: Client) -> None:
        """Wait no longer: the client has taken its answer, or is gone."""
        self._unread.pop(client, None)
        self.end(client)

    def _look(self) -> None:
        self._looks = False
        over = monotonic() - self._seconds
        late = list(takewhile(lambda client: self._owing[client] <= over, self._owing))
        for client in late:
            self.end(client)
        if self._owing:
            oldest = next(iter(self._owing.values()))
            self._looks = True
            asyncio.get_running_loop().call_later(max(oldest - over, _PAUSE), self._look)
        for client in late:
            client.give_up()
