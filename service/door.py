"""Who may come in: a bounded number of requests, with a bounded amount of bytes and of work."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import RequestError
from service.settings import Settings

_BODIES = 4
"""Bodies of the largest size that may be held at once."""


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
        """Let a request in for as long as the block lasts.

        Raises
        ------
        RequestError
            503 if the service is about to end, 429 if there are too many.
        """
        self.check_open()
        if self.requests >= self._most_requests:
            raise too_many_requests(self.requests)
        visit = Visit(self)
        self.requests += 1
        try:
            yield visit
        finally:
            self.requests -= 1
            self.bytes -= visit.bytes
            self.passes -= visit.passes

    def close(self) -> None:
        """Let nobody else in."""
        self.closing = True

    def check_open(self) -> None:
        """Refuse with 503 if the service is about to end."""
        if self.closing:
            raise RequestError(503, "the service is shutting down; ask again shortly", {"Retry-After": "1"})

    def admit_bytes(self, count: int) -> None:
        """Let some bytes of a body in; 429 if there are too many."""
        if self.bytes + count > self._most_bytes:
            raise _too_much(f"{self.bytes} bytes of requests are")
        self.bytes += count

    def admit_passes(self, count: int) -> None:
        """Let some work in; 429 if there is too much, unless there is none yet."""
        if self.passes and self.passes + count > self._most_passes:
            raise _too_much(f"{self.passes} passes over rows are")
        self.passes += count


class Visit:
    """What one request has brought in, and takes out again as it leaves."""

    def __init__(self, door: Door) -> None:
        self.bytes = 0
        self.passes = 0
        self._door = door

    def bring_bytes(self, count: int) -> None:
        """Bring more bytes of the body in, if they are let in."""
        self._door.admit_bytes(count)
        self.bytes += count

    def bring_passes(self, count: int) -> None:
        """Bring the work in that is asked for, if it is let in."""
        self._door.admit_passes(count)
        self.passes += count


def too_many_requests(count: int) -> RequestError:
    """Refuse a request beside so many others."""
    return _too_much("1 request is" if count == 1 else f"{count} requests are")


def _too_much(what: str) -> RequestError:
    return RequestError(429, f"{what} waiting already; ask again shortly", {"Retry-After": "1"})
