"""The parent of a process: its end ends the process too."""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def on_end(parent: int, sign: signal.Signals) -> None:
    """Have the system send this process a signal when its parent ends; at once if it has ended.

    Only Linux has that. Elsewhere the event loop looks for the parent, once there is one.

    Parameters
    ----------
    parent
        Process id of the parent, from before the fork: the process may have another one already.
    sign
        The signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), sign)
