"""Deadlines: a thread ends the runs of graphs that take too long."""

import math
import os
import threading
import time
from typing import Final, Protocol, Self
from weakref import WeakSet

_PAUSE: Final = 0.05
"""Seconds between two looks at the runs: by so much a run may exceed its deadline."""

_IDLE: Final = 20
"""Looks without any run after which the thread ends; the next run starts another one."""


class Run(Protocol):
    """A run of an engine, which ends once this is set, as soon as its current operator is done."""

    terminate: bool


class Deadline:
    """The time by which runs must end, for one block of code at a time.

    Within the block, an engine notes each of its runs in ``run`` of the `current` deadline.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> run = SimpleNamespace(terminate=False)
    >>> deadline = Deadline()
    >>> with deadline.until(time.perf_counter() + 1):
    ...     deadline.run = run
    ...     deadline.expire()
    ...     time.sleep(0.2)
    >>> run.terminate
    True
    """

    def __init__(self) -> None:
        self._due = math.inf
        self.run: Run | None = None
        """The run in progress, if there is one."""
        self._outer: Deadline | None = None
        _WATCH.deadlines.add(self)

    def until(self, due: float) -> Self:
        """Begin a block with this time, by `time.perf_counter`: ``with deadline.until(due):``."""
        self._due = due
        self._outer = current()
        _here.deadline = self
        if not _WATCH.awake:
            _WATCH.wake()
        return self

    def expire(self) -> None:
        """End the present run, and those that the block has yet to make; called from any thread."""
        self._due = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _here.deadline = self._outer

    def look(self, now: float) -> bool:
        """Abort the run in progress, if it is late; tell whether there is one."""
        run = self.run
        if run is not None and now > self._due:
            run.terminate = True
        return run is not None


_here: Final = threading.local()


def current() -> Deadline | None:
    """Give the deadline of this thread's block; None if it has none."""
    return getattr(_here, "deadline", None)


class _Watch:
    """The thread that looks at all deadlines; it ends when it has seen no run for a while."""

    def __init__(self) -> None:
        self.deadlines: WeakSet[Deadline] = WeakSet()
        self.awake = False
        self._waking = threading.Lock()

    def wake(self) -> None:
        with self._waking:
            if not self.awake:
                self.awake = True
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    def reset(self) -> None:
        """Forget the thread, which does not exist in a fork."""
        self.awake = False
        self._waking = threading.Lock()

    def _run(self) -> None:
        idle = 0
        while idle < _IDLE:
            time.sleep(_PAUSE)
            idle = 0 if self._look() else idle + 1
        self.awake = False
        if self._look():  # a run began as the thread was about to end
            self.wake()

    def _look(self) -> bool:
        now = time.perf_counter()
        return sum(deadline.look(now) for deadline in list(self.deadlines)) > 0


_WATCH: Final = _Watch()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_WATCH.reset)
