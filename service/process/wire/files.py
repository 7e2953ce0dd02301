"""The limit on open files, and so on connections."""

import resource
from typing import Final

_OTHERS: Final = 128
"""Files kept free for listeners, libraries, bundles and pages."""

_MOST: Final = 2**14
"""Connections at most: each holds some kilobytes, besides the bytes of its request."""


def most_connections() -> int:
    """Raise the limit on open files as far as the system allows; return how many may be connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    unlimited = most == resource.RLIM_INFINITY
    return _MOST if unlimited else max(1, min(_MOST, most - _OTHERS))
