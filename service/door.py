"""Who may come in: a bounded number of requests, with a bounded amount of bytes and of work."""

from collections.abc import Iterator
from contextlib import contextmanager

from caveat.service.errors import RequestError
from caveat.service.settings import Settings

_BODIES = 4
"""Bodies of the largest size that may be held at once."""

_SMALL = 2**16
"""Bytes of a body for which as much room again is kept: large bodies that come slowly can't take it."""


class Door:
    """Counts what is inside, and turns away at once what is too much."""

    def __init__(self, settings: Settings) -> None:
        self.closing = False
        """Whether the service is about to end: nobody else may come in."""
        self.requests = 0
        self.bytes = 0
        self.passes = 0
        self._most_requests = settings.max_pending
        self._most_bytes = _BODIES * settings.max_bytes
        self._most_passes = settings.max_pending_passes

    @contextmanager
    def visit(self) -> Iterator["Visit"]:
        """Let a request come as far as its body, and in, for as long as the block lasts.

        Raises
        ------
        RequestError
            503 if the service is about to end, 429 if there are too many.
        """
        self.check_open()
        self.check_room()
        visit = Visit(self)
        try:
            yield visit
        finally:
            self.requests -= visit.inside
            self.bytes -= visit.bytes
            self.passes -= visit.passes

    def close(self) -> None:
        """Let nobody else in."""
        self.closing = True

    def check_open(self) -> None:
        """Refuse with 503 if the service is about to end."""
        if self.closing:
            raise RequestError(
                503,
                "the service is shutting down; ask again shortly",
                {"Retry-After": "1", "Connection": "close"},
            )

    def check_room(self) -> None:
        """Refuse with 429 if there are too many."""
        if self.requests >= self._most_requests:
            raise too_many_requests(self.requests)

    def check_bytes(self, count: int, small: bool) -> None:
        """Refuse more bytes of a body, which is small or not, with 429 if there are too many."""
        if self.bytes + count > (2 * self._most_bytes if small else self._most_bytes):
            raise _too_much(f"{self.bytes} bytes of requests are")

    def admit_passes(self, count: int) -> None:
        """Let some work in; 429 if there is too much, unless there is none yet."""
        if self.passes and self.passes + count > self._most_passes:
            raise _too_much(f"{self.passes} passes over rows are")
        self.passes += count


class Visit:
    """What one request has brought in, and takes out again as it leaves."""

    def __init__(self, door: Door) -> None:
        self.inside = False
        self.bytes = 0
        self.passes = 0
        self._door = door

    def announce_bytes(self, count: int) -> None:
        """Refuse a body at once that would not be let in if it were there already."""
        self._door.check_bytes(count, small=count <= _SMALL)

    def bring_bytes(self, count: int) -> None:
        """Bring more bytes of the body, if they are let in."""
        self._door.check_bytes(count, small=self.bytes + count <= _SMALL)
        self._door.bytes += count
        self.bytes += count

    def come_in(self) -> None:
        """Take a place, if there is one: the body is there, and whoever is still sending has none."""
        self._door.check_room()
        self._door.requests += 1
        self.inside = True

    def bring_passes(self, count: int) -> None:
        """Bring the work in that is asked for, if it is let in."""
        self._door.admit_passes(count)
        self.passes += count

    def end_work(self) -> None:
        """Take the work out: it is done, and the answer need not be sent for the next to begin."""
        self._door.passes -= self.passes
        self.passes = 0


def too_many_requests(count: int) -> RequestError:
    """Refuse a request beside so many others."""
    return _too_much("1 request is" if count == 1 else f"{count} requests are")


def _too_much(what: str) -> RequestError:
    return RequestError(429, f"{what} waiting already; ask again shortly", {"Retry-After": "1"})
