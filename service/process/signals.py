"""The signals that a process of the service gets, from its first moment on."""

import os
import signal
from collections.abc import Callable
from typing import Final

STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
"""Signals that ask for a stop."""

_IGNORED: Final = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGTTOU,
)
"""Signals that mean nothing here, and would end the process with the requests in it, or stop it.

Python ignores SIGPIPE and SIGXFSZ itself.
"""

_reload = False  # whether a SIGHUP has come


def begin() -> None:
    """Take all signals; until there is something to drain, a stop ends the process at once, with code 0.

    What others have set is left as it is: SIGHUP is ignored under nohup.
    """
    on_stop(lambda: os._exit(0))
    for each in _IGNORED:
        if signal.getsignal(each) is signal.SIG_DFL:
            signal.signal(each, signal.SIG_IGN)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: _ask_for_reload())


def on_stop(act: Callable[[], object]) -> None:
    """Do something when a stop is asked for."""
    for stop in STOPS:
        signal.signal(stop, lambda *_: act())


def reload_asked() -> bool:
    """Tell whether a reload was asked for, by SIGHUP, since the last call."""
    global _reload
    asked, _reload = _reload, False
    return asked


def _ask_for_reload() -> None:
    global _reload
    _reload = True
