"""Room: how many requests and passes may be in the service at once, in all and of one key."""

from dataclasses import dataclass
from typing import Final, Self

from caveat.service.desk.refusals import FullError
from caveat.service.settings import Settings

SMALL: Final = 1000
"""Rows x samples up to which a request is small: 10 rows with the default number of samples."""

_KEPT: Final = 4
"""One part in so many is kept for small requests and for those without dropout."""

_SMALLER: Final = f", or ask for at most {SMALL} rows x samples at once"


@dataclass(frozen=True)
class Limits:
    """What may be held at once.

    Parameters
    ----------
    requests, passes
        Number of requests, and of rows x samples; a row without dropout counts as one.
    large, large_passes
        The same of the requests that may not use what is kept.
    whose
        Whose requests these are, as messages say it.
    exceeded
        Whether the only large request may exceed the passes.
    """

    requests: int
    passes: int
    large: int
    large_passes: int
    whose: str = ""
    exceeded: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read the limits of the service."""
        requests, passes = settings.max_pending, settings.max_pending_passes
        return cls(requests, passes, requests - requests // _KEPT, passes - passes // _KEPT)

    def share(self, keys: int) -> "Limits":
        """Compute the limits of each of ``keys`` keys; one that is alone leaves what is kept to others."""
        if keys == 1:
            return Limits(self.large, self.large_passes, self.large, self.large_passes, _OF_ONE)
        whole = (self.requests, self.passes, self.large, self.large_passes)
        requests, passes, large, large_passes = (max(1, each // keys) for each in whole)
        return Limits(requests, passes, large, large_passes, _OF_ONE, exceeded=False)


_OF_ONE: Final = " of this key"


class Holding:
    """What is held at once, by all requests or by those of one key."""

    def __init__(self) -> None:
        self.requests = self.passes = 0
        self.large = self.large_passes = 0
        self.refused = float("-inf")
        """When a request was last refused for want of room, by `perf_counter`."""

    def check_request(self, limits: Limits) -> None:
        """Refuse a further request if there are too many."""
        if self.requests >= limits.requests:
            raise too_many(self.requests, "request", limits.whose)

    def check_work(self, passes: int, large: bool, limits: Limits) -> None:
        """Refuse passes if there are too many.

        Large requests leave the kept part to the others, which may use the rest as well, and the only one of
        which may exceed it.
        """
        if not large:
            counted = self.passes - max(0, self.large_passes - limits.large_passes)
            if counted + passes > limits.passes and self.passes > self.large_passes:
                raise too_many(self.passes, "pass over rows", limits.whose)
            return
        if self.large >= limits.large:
            raise too_many(self.large, "large request", limits.whose, _SMALLER)
        if limits.exceeded and not self.large:
            return
        if self.large_passes + passes > limits.large_passes or self.passes + passes > limits.passes:
            raise too_many(self.passes, "pass over rows", limits.whose, _SMALLER)

    def add(self, passes: int, large: bool, sign: int) -> None:
        """Add passes, with ``sign`` 1, or take them away, with -1."""
        self.passes += sign * passes
        if large:
            self.large += sign
            self.large_passes += sign * passes


def too_many(count: int, what: str, whose: str = "", more: str = "") -> FullError:
    """Refuse a request that finds ``count`` requests, large requests or passes waiting."""
    words = f"1 {what}{whose} is" if count == 1 else f"{count} {_PLURALS[what]}{whose} are"
    return FullError(f"{words} waiting already; try again shortly{more}")


_PLURALS: Final = {
    "request": "requests",
    "large request": "large requests",
    "pass over rows": "passes over rows",
}
