"""Work on many units, in pieces that stay in a core's cache, on several cores if there are many."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

PIECE: Final = 2**15
"""Units of a piece."""

_WORTH_A_THREAD: Final = 4 * PIECE
"""Units from which on work is shared: handing it to a thread takes as long as a piece."""


def in_pieces(work: Callable[[slice], None], units: int, threads: int = 1) -> None:
    """Call ``work`` with slices that together make ``units`` units.

    Parameters
    ----------
    work
        Works on a slice; calls of several threads must not disturb each other.
    units
        Number of units.
    threads
        Most threads that work at the same time.
    """
    if units <= PIECE:
        work(slice(0, units))
        return
    pieces = [slice(start, min(start + PIECE, units)) for start in range(0, units, PIECE)]
    threads = min(threads, units // _WORTH_A_THREAD)
    if threads <= 1:
        _all(work, pieces)
        return
    shares = [pieces[number::threads] for number in range(threads)]
    for done in [_pool(threads).submit(_all, work, share) for share in shares]:
        done.result()


def _all(work: Callable[[slice], None], pieces: Sequence[slice]) -> None:
    for piece in pieces:
        work(piece)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "draws")


def cores() -> int:
    """Count the cores that this process may use; on systems that don't say, all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork copies no threads
