"""The queue of jobs: the shortest goes first, and longer ones begin every second turn."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import count

from caveat.service.desk.batching.group import Group
from caveat.service.desk.batching.job import Job

_Length = tuple[Hashable, int]
"""A kind of jobs, and the binary digits of the number of values that their runs hold."""


class _Line:
    """Entries of one length, in the order of their arrival."""

    def __init__(self) -> None:
        self.entries: deque[Job | Group] = deque()
        self.fresh = 0


class Queue:
    """Jobs, and groups that have begun, which wait for a turn of the engine.

    There is a line for each kind and length, by factors of two. A turn begins with the first of the shortest
    line, so that a short job does not wait for all the long ones before it. If longer ones are left, the next
    turn begins with the one of them that waits longest, so that short jobs, however many, leave them half of
    the turns.

    Parameters
    ----------
    seconds
        Predicts how long runs of a kind that hold so many values take.
    """

    def __init__(self, seconds: Callable[[Hashable, int], float]) -> None:
        self._seconds = seconds
        self._lines: dict[_Length, _Line] = {}  # none is empty
        self._numbers = count()
        self._first: _Length = (None, 0)  # the line of the entry that was peeked at
        self._longer_is_next = False
        self.fresh = 0
        """Number of jobs of which no row has been in a turn yet."""

    def __iter__(self) -> Iterator[Job | Group]:
        for line in self._lines.values():
            yield from line.entries

    def add(self, entry: Job | Group) -> None:
        """Queue an entry."""
        length = entry.kind, entry.left.bit_length()
        line = self._lines.get(length)
        if line is None:
            line = self._lines[length] = _Line()
        line.entries.append(entry)
        entry.number = next(self._numbers)
        if entry.fresh:
            line.fresh += 1
            self.fresh += 1

    def begin(self) -> Job | Group | None:
        """Take the entry that begins a turn; None if no entry is left that is not gone."""
        while self._lines:
            length = self._shortest()
            more = len(self._lines) > 1
            if self._longer_is_next and more:
                longer = self._lines.keys() - {length}
                length = min(longer, key=lambda each: self._lines[each].entries[0].number)
                more = False
            entry = self._take(length)
            if not entry.gone:
                self._longer_is_next = more
                return entry
        return None

    def peek(self) -> Job | Group | None:
        """Give the first of the shortest entries; None if no entry is left that is not gone."""
        while self._lines:
            self._first = self._shortest()
            entry = self._lines[self._first].entries[0]
            if not entry.gone:
                return entry
            self._take(self._first)
        return None

    def take(self) -> None:
        """Take the entry that `peek` gave."""
        self._take(self._first)

    def alike(self) -> int:
        """Count the fresh jobs that are about as long as the entry that `peek` gave last."""
        line = self._lines.get(self._first)
        return line.fresh if line else 0

    def _shortest(self) -> _Length:
        if len(self._lines) == 1:
            return next(iter(self._lines))
        return min(self._lines, key=lambda length: self._seconds(length[0], 1 << length[1]))

    def _take(self, length: _Length) -> Job | Group:
        line = self._lines[length]
        entry = line.entries.popleft()
        if entry.fresh:
            line.fresh -= 1
            self.fresh -= 1
        if not line.entries:
            del self._lines[length]
        return entry
