"""Request ids, which identify a request to its client, in the log and in traces."""

import os
import re
import secrets
from collections.abc import Mapping
from itertools import count
from typing import Final

HEADER: Final = "X-Request-Id"

PATTERN: Final = "[A-Za-z0-9._-]{1,128}"
"""Ids that a client may choose; a request with any other id gets a new one."""

NAME: Final = HEADER.lower().encode()
"""Name of the header in ASGI: bytes in lower case."""

_VALID: Final = re.compile(PATTERN.encode())
_IN_HEAD: Final = re.compile(rb"\r\n%b:[ \t]*(%b)[ \t]*\r\n" % (NAME, PATTERN.encode()), re.IGNORECASE)


_process = secrets.token_hex(8)
_numbers = count(1)


def _begin() -> None:
    global _process
    _process = secrets.token_hex(8)


os.register_at_fork(after_in_child=_begin)  # or workers would make the same ids


def made() -> str:
    """Make an id: a random prefix of this process, and a running number."""
    return f"{_process}-{next(_numbers):x}"


def of(headers: Mapping[bytes, bytes]) -> str:
    """Give the id that the client chose, or make one."""
    given = headers.get(NAME)
    return given.decode() if given and _VALID.fullmatch(given) else made()


def cut_out(head: bytes) -> tuple[str, bytes]:
    r"""Find the id in the bytes of a head, or make one; return the id and the head without its header.

    >>> cut_out(b"POST /predict HTTP/1.1\r\nX-Request-ID: a1\r\nHost: here\r\n")
    ('a1', b'POST /predict HTTP/1.1\r\nHost: here\r\n')
    """
    found = _IN_HEAD.search(head)
    if found is None:
        return made(), head
    return found[1].decode(), head[: found.start()] + head[found.end() - 2 :]
