"""How fast long work has been lately, to tell which work can't end in time."""

import math
from time import perf_counter
from typing import Final

_MINUTE: Final = 60.0
"""Seconds of a span; what is older than the span before this one is forgotten."""

_ENOUGH: Final = 100
"""Runs from which the speed is known: the first runs of a long job are small, and slower for each value."""

_SLOWER: Final = 2.0
"""How many times slower than the fastest run the others may count."""


class _Span:
    """The runs of some time."""

    def __init__(self, since: float = -math.inf) -> None:
        self.since = since
        self.runs = 0
        self.loads = self.seconds = 0.0
        self.least = math.inf  # seconds per value


class Speed:
    """Seconds per value of the runs of long work in the last one to two minutes.

    What is refused is not run and teaches nothing. So a speed that was measured on a busy machine must not
    refuse for ever what would end in time: it is never less than half that of the fastest run, and without
    enough runs in the last minutes it is unknown, and nothing is refused.
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
    def each(self) -> float:
        """Seconds per value: the mean, or twice that of the fastest run if that is less."""
        spans = (self._now, self._before)
        mean = sum(span.seconds for span in spans) / sum(span.loads for span in spans)
        return min(mean, _SLOWER * min(span.least for span in spans))

    def _turn_over(self) -> None:
        now = perf_counter()
        if now - self._now.since > _MINUTE:
            self._before = self._now if now - self._now.since <= 2 * _MINUTE else _Span()
            self._now = _Span(now)
