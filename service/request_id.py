"""The name of a request, by which a client, the log and a trace speak of the same one."""

import random
import re
from collections.abc import Iterable
from typing import Final

HEADER: Final = "X-Request-Id"

PATTERN: Final = "[A-Za-z0-9._-]{1,128}"
"""What a client may call a request; others get a name that is made here."""

_NAME: Final = HEADER.lower().encode()
_VALID: Final = re.compile(PATTERN.encode())
_IN_HEAD: Final = re.compile(rb"\r\n%b:[ \t]*(%b)[ \t]*\r\n" % (_NAME, PATTERN.encode()), re.IGNORECASE)


def made() -> str:
    """Make one; not a secret, so that a generator will do which is quicker than the system's."""
    return f"{random.getrandbits(128):032x}"


def of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Give what a client calls its request, or else make an id."""
    for name, value in headers:
        if name == _NAME:
            return value.decode() if _VALID.fullmatch(value) else made()
    return made()


def cut_out(head: bytes) -> tuple[str, bytes]:
    r"""Find the id in the bytes of a head, or else make one; give the head without it, too.

    >>> cut_out(b"POST /predict HTTP/1.1\r\nX-Request-ID: a1\r\nHost: here\r\n")
    ('a1', b'POST /predict HTTP/1.1\r\nHost: here\r\n')
    """
    found = _IN_HEAD.search(head)
    if found is None:
        return made(), head
    return found[1].decode(), head[: found.start()] + head[found.end() - 2 :]
