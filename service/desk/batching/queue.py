"""The queue of jobs: the shortest goes first, and longer ones begin every second turn."""

import math
from collections import Counter, deque
from itertools import count
from typing import NamedTuple

from caveat.service.desk.batching.group import Group
from caveat.service.desk.batching.job import Job


class _Place(NamedTuple):
    number: int
    entry: Job | Group
    fresh: bool


class Queue:
    """Jobs, and groups that have begun, which wait for a turn of the engine.

    There is a line for each length, by factors of two. A turn begins with the first of the shortest line, so
    that a short job does not wait for all the long ones before it. If longer ones are left, the next turn
    begins with the one of them that waits longest, so that short jobs, however many, leave them half of the
    turns.
    """

    def __init__(self) -> None:
        self._lines: dict[int, deque[_Place]] = {}  # by length; none is empty
        self._numbers = count()
        self._alike: Counter[int] = Counter()  # fresh jobs by length
        self._began = 0  # length of the entry that began the turn
        self._longer_is_next = False
        self.fresh = 0
        """Number of jobs of which no row has been in a turn yet."""

    @property
    def entries(self) -> list[Job | Group]:
        """All entries."""
        return [place.entry for line in self._lines.values() for place in line]

    def add(self, entry: Job | Group, turns: float) -> None:
        """Queue an entry that takes this many turns, or this fraction of one."""
        length = math.frexp(turns)[1]
        place = _Place(next(self._numbers), entry, entry.fresh)
        line = self._lines.get(length)
        if line is None:
            self._lines[length] = deque((place,))
        else:
            line.append(place)
        self.fresh += place.fresh
        self._alike[length] += place.fresh

    def begin(self) -> Job | Group | None:
        """Take the entry that begins a turn; None if no entry is left that is not gone."""
        while self._lines:
            length = min(self._lines)
            more = len(self._lines) > 1
            if self._longer_is_next and more:
                longer = self._lines.keys() - {length}
                length = min(longer, key=lambda each: self._lines[each][0].number)
                more = False
            entry = self._take(length)
            if not entry.gone:
                self._longer_is_next = more
                self._began = length
                return entry
        return None

    def peek(self) -> Job | Group | None:
        """Give the first of the shortest entries; None if no entry is left that is not gone."""
        while self._lines:
            length = min(self._lines)
            entry = self._lines[length][0].entry
            if not entry.gone:
                return entry
            self._take(length)
        return None

    def take(self) -> None:
        """Take the entry that `peek` gave."""
        length = min(self._lines)
        if length > self._began:
            self._longer_is_next = False
        self._take(length)

    def alike(self) -> int:
        """Count the fresh jobs that are about as long as the shortest entry."""
        return self._alike[min(self._lines)] if self._lines else 0

    def _take(self, length: int) -> Job | Group:
        line = self._lines[length]
        place = line.popleft()
        if not line:
            del self._lines[length]
        self.fresh -= place.fresh
        self._alike[length] -= place.fresh
        return place.entry
