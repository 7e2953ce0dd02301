"""How many files, and so connections, a process may have open."""

import resource
from typing import Final

_OTHERS: Final = 128
"""Files that are kept for what is no connection: listeners, libraries, bundles, pages."""

_MOST: Final = 2**14
"""Connections at most: each holds some kilobytes, and what it has sent of its request."""


def most_connections() -> int:
    """Raise the number of files that may be open as far as may be, and tell how many may be connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    unlimited = most == resource.RLIM_INFINITY
    return _MOST if unlimited else max(1, min(_MOST, most - _OTHERS))
