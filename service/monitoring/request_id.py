"""The name of a request, by which a client, the log and a trace speak of the same one."""

import os
import re
import secrets
from collections.abc import Mapping
from itertools import count
from typing import Final

HEADER: Final = "X-Request-Id"

PATTERN: Final = "[A-Za-z0-9._-]{1,128}"
"""What a client may call a request; others get a name that is made here."""

NAME: Final = HEADER.lower().encode()
"""The header, as ASGI has it."""

_VALID: Final = re.compile(PATTERN.encode())
_IN_HEAD: Final = re.compile(rb"\r\n%b:[ \t]*(%b)[ \t]*\r\n" % (NAME, PATTERN.encode()), re.IGNORECASE)


_process = secrets.token_hex(8)
_numbers = count(1)


def _begin() -> None:
    global _process
    _process = secrets.token_hex(8)


os.register_at_fork(after_in_child=_begin)  # else workers would give the same ones


def made() -> str:
    """Make one: what tells this process from all others, and a number."""
    return f"{_process}-{next(_numbers):x}"


def of(headers: Mapping[bytes, bytes]) -> str:
    """Give what a client calls its request, or else make an id."""
    given = headers.get(NAME)
    return given.decode() if given and _VALID.fullmatch(given) else made()


def cut_out(head: bytes) -> tuple[str, bytes]:
    r"""Find the id in the bytes of a head, or else make one; give the head without it, too.

    >>> cut_out(b"POST /predict HTTP/1.1\r\nX-Request-ID: a1\r\nHost: here\r\n")
    ('a1', b'POST /predict HTTP/1.1\r\nHost: here\r\n')
    """
    found = _IN_HEAD.search(head)
    if found is None:
        return made(), head
    return found[1].decode(), head[: found.start()] + head[found.end() - 2 :]
