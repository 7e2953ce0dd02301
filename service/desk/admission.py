"""Admission: a limited number of requests, with limited bytes and work, is in the service at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from caveat.service.desk.batching.job import Job
from caveat.service.desk.refusals import ClosingError, FullError
from caveat.service.desk.room import SMALL, Holding, Limits
from caveat.service.settings import Settings

_BODIES = 4
"""Number of bodies of the largest size that may be held at once."""

_SMALL = 2**16
"""Bytes of a small body; small bodies have as much room again, which slow large bodies can't take."""

_RETRYING: Final = 2.0 * (FullError.retry_after or 0)
"""Seconds after a refusal for which its key counts as waiting."""


class Admission:
    """Counts the requests, bytes and passes in the service, and refuses those beyond the limits."""

    def __init__(self, settings: Settings) -> None:
        self.closing = False
        """Whether the service is shutting down: it admits no more requests."""
        self.bytes = 0
        self.reading = 0
        """Requests whose bodies are being read, or wait for that, off the event loop; they hold no place."""
        self._most_bytes = _BODIES * settings.max_bytes
        self._limits = Limits.of(settings)
        self._shares: dict[int, Limits] = {}  # by the number of other keys
        self._all = Holding()
        self._of_keys: dict[int, Holding] = {}

    @property
    def requests(self) -> int:
        """Number of requests that have come in."""
        return self._all.requests + self.reading

    @property
    def passes(self) -> int:
        """Number of passes that wait or run; a row without dropout counts as one."""
        return self._all.passes

    @property
    def least_full(self) -> int:
        """Number of requests from which on some are refused unread, if keys are set."""
        return self._limits.large

    @contextmanager
    def visit(self, key: int | None = None) -> Iterator["Visit"]:
        """Let a request send its body and take a place; at the end of the block it leaves.

        Parameters
        ----------
        key
            Number of the key that asks; None where no keys are set.

        Raises
        ------
        ClosingError
            If the service is shutting down.
        FullError
            If the service is full, or the key has its share.
        """
        self.check_open()
        visit = Visit(self, key)
        visit.check_room()
        try:
            yield visit
        finally:
            visit.leave()

    def close(self) -> None:
        """Admit no more requests."""
        self.closing = True

    def check_open(self) -> None:
        """Refuse if the service is shutting down."""
        if self.closing:
            raise ClosingError

    def check_bytes(self, count: int, small: bool) -> None:
        """Refuse ``count`` more bytes of a small or a large body if there are too many."""
        if self.bytes + count > (2 * self._most_bytes if small else self._most_bytes):
            raise FullError(f"{self.bytes} bytes of requests are waiting already; try again shortly")

    def check_request(self, key: int | None) -> None:
        """Refuse a further request if there are too many, in all or of its key."""
        self._all.check_request(self._limits)
        if key is not None:
            self.held(key).check_request(self._share(key))

    def check_work(self, key: int | None, passes: int, large: bool) -> None:
        """Refuse passes if there are too many, in all or of their key."""
        self._all.check_work(passes, large, self._limits)
        if key is not None:
            self.held(key).check_work(passes, large, self._share(key))

    def is_full(self, coming: int, key: int | None) -> bool:
        """Tell whether a request is refused unread.

        Parameters
        ----------
        coming
            Number of requests that hold a place, or have arrived and will ask for one.
        key
            Number of the key that asks; None if there is none, or it is unknown.
        """
        if key is None:
            return coming >= self._limits.requests
        share, held = self._share(key), self.held(key)
        of_key = coming if share.exceeded else held.requests  # a key that is alone brought them all
        full = of_key >= share.requests or coming >= 2 * self._limits.requests
        if full:
            held.refused = perf_counter()
        return full

    def holdings(self, key: int | None) -> Sequence[Holding]:
        """Give what all requests hold, and what those of a key do."""
        return (self._all,) if key is None else (self._all, self.held(key))

    def held(self, key: int) -> Holding:
        """Give what the requests of a key hold."""
        held = self._of_keys.get(key)
        if held is None:
            held = self._of_keys[key] = Holding()
        return held

    def _share(self, key: int) -> Limits:
        """Compute what a key may hold: its share among the keys that hold a place or were just refused."""
        since = perf_counter() - _RETRYING
        others = sum(
            held.requests > 0 or held.refused > since for other, held in self._of_keys.items() if other != key
        )
        if others not in self._shares:
            self._shares[others] = self._limits.share(1 + others)
        return self._shares[others]


class Visit:
    """What one request holds in the service: its place, its bytes, its passes and its job."""

    def __init__(self, admission: Admission, key: int | None) -> None:
        self.bytes = 0
        self.job: Job | None = None
        """The job of the request; None until its body is read."""
        self._admission = admission
        self._key = key
        self._holdings = admission.holdings(key)
        self._inside = False
        self._passes = 0
        self._large = False

    def announce_bytes(self, count: int) -> None:
        """Refuse a body of ``count`` bytes before it arrives, if there is no room for it now."""
        self._admission.check_bytes(count, small=count <= _SMALL)

    def bring_bytes(self, count: int) -> None:
        """Add bytes of the body, or refuse them."""
        self._admission.check_bytes(count, small=self.bytes + count <= _SMALL)
        self._admission.bytes += count
        self.bytes += count

    def check_room(self) -> None:
        """Refuse the request if there is no place for it."""
        try:
            self._admission.check_request(self._key)
        except FullError:
            self._note_refusal()
            raise

    def come_in(self) -> None:
        """Take a place once the body has arrived, or be refused; requests still sending have none."""
        self.check_room()
        self._enter(True)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold no place while the body is read, or waits for that, off the event loop."""
        self._enter(False)
        self._admission.reading += 1
        try:
            yield
        finally:
            self._admission.reading -= 1
        self.come_in()

    def begin_work(self, job: Job) -> None:
        """Add the passes of the request's job, or refuse them."""
        self.job = job
        passes = job.rows * job.samples
        large = job.asked is not None and passes > SMALL
        try:
            self._admission.check_work(self._key, passes, large)
        except FullError:
            self._note_refusal()
            raise
        self._passes, self._large = passes, large
        for holding in self._holdings:
            holding.add(passes, large, 1)

    def end_work(self) -> None:
        """Release the passes as soon as they are done, so that others can begin before the answer is sent."""
        if self._passes:
            for holding in self._holdings:
                holding.add(self._passes, self._large, -1)
            self._passes = 0

    def leave(self) -> None:
        """Give back all that the request holds."""
        self.end_work()
        if self._inside:
            self._enter(False)
        self._admission.bytes -= self.bytes

    def _enter(self, inside: bool) -> None:
        self._inside = inside
        for holding in self._holdings:
            holding.requests += 1 if inside else -1

    def _note_refusal(self) -> None:
        """Note when a key was refused, so that it gets its share of what becomes free."""
        self._holdings[-1].refused = perf_counter()
