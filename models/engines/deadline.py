"""Deadlines: a thread ends the runs of graphs that take too long."""

import math
import os
import threading
import time
from contextlib import suppress
from typing import Final, Protocol, Self
from weakref import WeakSet

_PAUSE: Final = 0.05
"""Seconds between two looks at the runs: by so much a run may exceed its deadline."""

_IDLE: Final = 20
"""Looks without any block after which the thread ends; the next block starts another one."""


class Run(Protocol):
    """A run of an engine, which ends once this is set, as soon as its current operator is done."""

    terminate: bool


class Deadline:
    """The time by which runs must end, for one block of code at a time.

    Within the block, an engine tells the `current` deadline of its runs. A block within a block of the same
    thread ends no later than the outer one.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> run = SimpleNamespace(terminate=False)
    >>> deadline = Deadline()
    >>> with deadline.until(time.perf_counter() + 1):
    ...     deadline.begin(run)
    ...     deadline.expire()
    ...     time.sleep(0.2)
    ...     deadline.end()
    >>> run.terminate
    True
    """

    def __init__(self) -> None:
        self._due = math.inf
        self._expired = self._open = False
        self._outer: Deadline | None = None
        self._run: Run | None = None
        self._lock = threading.Lock()
        _WATCH.add(self)

    def until(self, due: float) -> Self:
        """Begin a block with this time, by `time.perf_counter`: ``with deadline.until(due):``."""
        self._outer = outer = current()
        self._due = due if outer is None else min(due, outer._due)
        self._open = True
        _here.deadline = self
        if not _WATCH.awake:
            _WATCH.wake()
        return self

    def expire(self) -> None:
        """End the present run, and all later ones; called from any thread."""
        self._expired = True

    def begin(self, run: Run) -> None:
        """Watch a run of the block."""
        self._run = run

    def end(self) -> None:
        """Watch the run no more: from now on it may begin anew for others."""
        with self._lock:
            self._run = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        _here.deadline = self._outer

    def look(self, now: float) -> bool:
        """End the run in progress, if it is late; tell whether a block is open."""
        if self._expired or now > self._due:
            with self._lock:
                if self._run is not None:
                    self._run.terminate = True
        return self._open


_here: Final = threading.local()


def current() -> Deadline | None:
    """Give the deadline of this thread's block; None if it has none."""
    return getattr(_here, "deadline", None)


class _Watch:
    """The thread that looks at all deadlines; it ends when it has seen no block for a while."""

    def __init__(self) -> None:
        self.awake = False
        self._deadlines: WeakSet[Deadline] = WeakSet()
        self._lock = threading.Lock()

    def add(self, deadline: Deadline) -> None:
        with self._lock:
            self._deadlines.add(deadline)

    def wake(self) -> None:
        with self._lock:
            if not self.awake:
                self.awake = True
                threading.Thread(target=self._watch, name="deadlines", daemon=True).start()

    def reset(self) -> None:
        """Forget the thread, which does not exist in a fork."""
        self.awake = False
        self._lock = threading.Lock()

    def _watch(self) -> None:
        try:
            idle = 0
            while idle < _IDLE:
                time.sleep(_PAUSE)
                idle = 0 if self._look() else idle + 1
        finally:
            self.awake = False
        if self._look():  # a block began as the thread was about to end
            self.wake()

    def _look(self) -> bool:
        with self._lock:
            deadlines = list(self._deadlines)
        now = time.perf_counter()
        return any([deadline.look(now) for deadline in deadlines])  # noqa: C419 - each is looked at


_WATCH: Final = _Watch()
with suppress(AttributeError):  # not on Windows
    os.register_at_fork(after_in_child=_WATCH.reset)
