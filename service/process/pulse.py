"""The pulse of a worker: whether it still answers, or hangs."""

from pathlib import Path
from typing import Final, NamedTuple

_CALM: Final = 0.5
"""Seconds of silence that nobody looks into."""

_STOPPED: Final = 0.75
"""Seconds after which a silent process hangs that is stopped."""

_IDLE: Final = 1.0
"""Seconds after which a silent process hangs that sleeps, and takes no time of a core."""

_BUSY: Final = 10.0
"""Seconds after which any silent process hangs. A long call of a library, which holds the interpreter, keeps
a sound one silent; so does a machine with too much to do."""


class _State(NamedTuple):
    letter: str
    """As proc(5) has it: R runs or would like to, S sleeps, D waits for a disk, T is stopped."""
    ticks: int
    """Time of cores that all threads have taken."""


class Pulse:
    """Tells from the beats of a process, and from its silence, whether it hangs.

    Parameters
    ----------
    process
        Its process id.
    now
        A time of `monotonic`, as everywhere here.
    """

    def __init__(self, process: int, now: float) -> None:
        self._stat = Path(f"/proc/{process}/stat")
        self._ticks = -1
        self.beat(now)

    def beat(self, now: float) -> None:
        """Note that the process has been heard, or could not have been."""
        self._heard = now
        self._moved = now

    def hangs(self, now: float, beats: bool) -> str | None:
        """Tell how the process hangs; None if it does not.

        Parameters
        ----------
        beats
            Whether it beats by now; one that is only starting or ending can but be stopped.
        """
        if now - self._heard < _CALM:
            return None
        state = _state(self._stat)
        stopped = state is not None and state.letter == "T"
        if state is None or (not stopped and (state.letter != "S" or state.ticks != self._ticks)):
            self._moved = now
        self._ticks = state.ticks if state else -1
        still = now - self._moved
        if stopped and still >= _STOPPED:
            return "is stopped"
        if not stopped and beats and still >= _IDLE:
            return "waits for ever"
        return "does not come to its requests" if beats and now - self._heard >= _BUSY else None


def _state(stat: Path) -> _State | None:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:  # not on Linux, or it has ended
        return None
    return _State(fields[0], int(fields[11]) + int(fields[12]))
