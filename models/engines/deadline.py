"""Deadlines: a thread ends the runs of graphs that take too long."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

_PAUSE: Final = 0.02
"""Seconds between two looks at the runs: by so much a run may exceed its deadline."""

_IDLE: Final = 50
"""Looks without any run after which the thread sleeps until there is one."""

Abort = Callable[[], object]
"""Tells a run to end; the run may go on until its current operator is done."""


class Deadline:
    """The time by which runs must end, for one block of code at a time.

    Within the block, `watched` reports each run of an engine to it.

    Examples
    --------
    >>> deadline = Deadline()
    >>> with deadline.until(time.perf_counter() + 1), watched(lambda: print("aborted")):
    ...     deadline.expire()
    ...     time.sleep(0.2)
    aborted
    """

    def __init__(self) -> None:
        self._due = math.inf
        self._abort: Abort | None = None
        self._outer: Deadline | None = None

    def until(self, due: float) -> Self:
        """Set the time, by `time.perf_counter`, for the block that follows: ``with deadline.until(due):``."""
        self._due = due
        return self

    def expire(self) -> None:
        """End the present run, and those that the block has yet to make; called from any thread."""
        self._due = -math.inf

    def __enter__(self) -> Self:
        self._outer = _current()
        _here.deadline = self
        _WATCH.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _WATCH.discard(self)
        _here.deadline = self._outer

    def look(self, now: float) -> None:
        """Abort the run in progress, if it is late."""
        if now > self._due and (abort := self._abort) is not None:
            self._abort = None
            abort()

    @contextmanager
    def watch(self, abort: Abort) -> Iterator[None]:
        """Watch a run for the length of a block."""
        self._abort = abort
        try:
            yield
        finally:
            self._abort = None


_here: Final = threading.local()


def _current() -> Deadline | None:
    return getattr(_here, "deadline", None)


@contextmanager
def watched(abort: Abort) -> Iterator[None]:
    """Abort the run that the block makes at the deadline of this thread, if it has one."""
    deadline = _current()
    if deadline is None:
        yield
    else:
        with deadline.watch(abort):
            yield


class _Watch:
    """The thread that looks at all deadlines."""

    def __init__(self) -> None:
        self._deadlines: set[Deadline] = set()
        self._wake = threading.Event()
        self._thread = threading.Thread()
        self._beginning = threading.Lock()

    def add(self, deadline: Deadline) -> None:
        self._deadlines.add(deadline)
        if not self._wake.is_set():
            self._wake.set()
        if not self._thread.is_alive():
            self._begin()

    def discard(self, deadline: Deadline) -> None:
        self._deadlines.discard(deadline)

    def _begin(self) -> None:
        with self._beginning:
            if not self._thread.is_alive():  # not started yet, or left behind in a fork
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        idle = 0
        while True:
            time.sleep(_PAUSE)
            idle = 0 if self._deadlines else idle + 1
            if idle > _IDLE:
                self._wake.clear()
                if not self._deadlines:
                    self._wake.wait()
            now = time.perf_counter()
            for deadline in list(self._deadlines):
                deadline.look(now)


_WATCH: Final = _Watch()
