"""Admission: a limited number of requests, with limited bytes and work, is in the service at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from caveat.service.desk.batching.job import Job
from caveat.service.desk.refusals import ClosingError, FullError
from caveat.service.settings import Settings

_BODIES = 4
"""Number of bodies of the largest size that may be held at once."""

_SMALL = 2**16
"""Bytes of a small body; small bodies have as much room again, which slow large bodies can't take."""


class Admission:
    """Counts the requests, bytes and passes in the service, and refuses those beyond the limits."""

    def __init__(self, settings: Settings) -> None:
        self.closing = False
        """Whether the service is shutting down: it admits no more requests."""
        self.requests = 0
        self.bytes = 0
        self.passes = 0
        self._most_requests = settings.max_pending
        self._most_bytes = _BODIES * settings.max_bytes
        self._most_passes = settings.max_pending_passes

    @contextmanager
    def visit(self) -> Iterator["Visit"]:
        """Let a request send its body and take a place; at the end of the block it leaves.

        Raises
        ------
        ClosingError
            If the service is shutting down.
        FullError
            If the service is full.
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
        """Admit no more requests."""
        self.closing = True

    def check_open(self) -> None:
        """Refuse if the service is shutting down."""
        if self.closing:
            raise ClosingError

    def check_room(self) -> None:
        """Refuse if there are too many requests."""
        if self.requests >= self._most_requests:
            raise too_many_requests(self.requests)

    def check_bytes(self, count: int, small: bool) -> None:
        """Refuse ``count`` more bytes of a small or a large body if there are too many."""
        if self.bytes + count > (2 * self._most_bytes if small else self._most_bytes):
            raise _too_much(f"{self.bytes} bytes of requests are")

    def admit_passes(self, count: int) -> None:
        """Admit passes; refuse if there are too many, but never the only request with work."""
        if self.passes and self.passes + count > self._most_passes:
            raise _too_much(f"{self.passes} passes over rows are")
        self.passes += count


class Visit:
    """What one request holds in the service: its place, its bytes, its passes and its job."""

    def __init__(self, admission: Admission) -> None:
        self.inside = False
        self.bytes = 0
        self.passes = 0
        self.job: Job | None = None
        """The job of the request; None until its body is read."""
        self._admission = admission

    def announce_bytes(self, count: int) -> None:
        """Refuse a body of ``count`` bytes before it arrives, if there is no room for it now."""
        self._admission.check_bytes(count, small=count <= _SMALL)

    def bring_bytes(self, count: int) -> None:
        """Add bytes of the body, or refuse them."""
        self._admission.check_bytes(count, small=self.bytes + count <= _SMALL)
        self._admission.bytes += count
        self.bytes += count

    def come_in(self) -> None:
        """Take a place once the body has arrived, or be refused; requests still sending have none."""
        self._admission.check_room()
        self._admission.requests += 1
        self.inside = True

    def begin_work(self, job: Job) -> None:
        """Add the passes of the request's job, or refuse them."""
        self.job = job
        passes = job.rows * (job.asked.samples if job.asked else 1)
        self._admission.admit_passes(passes)
        self.passes += passes

    def end_work(self) -> None:
        """Release the passes as soon as they are done, so that others can begin before the answer is sent."""
        self._admission.passes -= self.passes
        self.passes = 0


def too_many_requests(count: int) -> FullError:
    """Refuse a request that finds ``count`` others waiting."""
    return _too_much("1 request is" if count == 1 else f"{count} requests are")


def _too_much(what: str) -> FullError:
    return FullError(f"{what} waiting already; try again shortly")
