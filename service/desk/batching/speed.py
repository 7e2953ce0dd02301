"""How fast runs have been lately, to tell which work can't end in time."""

import math
from time import perf_counter
from typing import Final

_MINUTE: Final = 60.0
"""Seconds of a span; what is older than the span before this one is forgotten."""

_ENOUGH: Final = 8
"""Runs from which the speed is known."""


class _Span:
    """The runs of some time."""

    def __init__(self, since: float = -math.inf) -> None:
        self.since = since
        self.runs = 0
        self.loads = self.seconds = 0.0
        self.least = math.inf  # seconds per value


class Speed:
    """Seconds per value of the runs of the last one to two minutes.

    What is refused is not run and teaches nothing. So a speed that was measured on a busy machine must not
    refuse for ever what would end in time: work is refused by the fastest run, and without enough runs in
    the last minutes the speed is unknown, and nothing is refused.
    """

    def __init__(self) -> None:
        self._now, self._before = _Span(), _Span()

    def learn(self, load: float, seconds: float) -> None:
        """Note a run that held ``load`` values."""
        self._turn_over()
        span = self._now
        span.runs += 1
        span.loads += load
        span.seconds += seconds
        span.least = min(span.least, seconds / load)

    @property
    def known(self) -> bool:
        """Whether there were enough runs lately."""
        self._turn_over()
        return self._now.runs + self._before.runs >= _ENOUGH

    @property
    def least(self) -> float:
        """Seconds per value of the fastest run."""
        return min(self._now.least, self._before.least)

    @property
    def mean(self) -> float:
        """Seconds per value of all runs."""
        return (self._now.seconds + self._before.seconds) / (self._now.loads + self._before.loads)

    def _turn_over(self) -> None:
        now = perf_counter()
        if now - self._now.since > _MINUTE:
            self._before = self._now if now - self._now.since <= 2 * _MINUTE else _Span()
            self._now = _Span(now)
