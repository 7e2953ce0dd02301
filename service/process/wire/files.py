"""The limit on open files, and so on connections."""

import resource
from math import inf
from typing import Final

from caveat.models.errors import CaveatError

_OTHERS: Final = 128
"""Files kept free for listeners, libraries, bundles and pages."""

_MOST: Final = 2**11
"""Connections at most: each holds some kilobytes, besides the bytes of its request."""

_FEWEST: Final = 32
"""Connections that are worth a start."""

_EACH: Final = 4
"""Files that a supervisor has open for each worker."""


def allow(workers: int) -> None:
    """Raise the limit on open files as far as the system allows.

    Raises
    ------
    CaveatError
        If that is too low to serve.
    """
    most, needed = _raised(), _OTHERS + _FEWEST + _EACH * workers
    if most < needed:
        raise CaveatError(
            f"the limit on open files is {most:.0f}, and serving with --workers {workers} takes {needed}:"
            f" raise it (ulimit -n {needed}; LimitNOFILE={needed} in systemd; docker run --ulimit"
            f" nofile={needed})"
        )


def most_connections() -> int:
    """Tell how many of the files that may be open may be connections."""
    return int(max(1, min(_MOST, _raised() - _OTHERS)))


def _raised() -> float:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return inf if most == resource.RLIM_INFINITY else most
