"""Where heads end and what they say of their framing, read in the one way that no proxy reads otherwise."""

from collections.abc import Sequence
from typing import Final

import httptools

_END: Final = b"\r\n\r\n"
"""The end of a head."""

_ONCE: Final = (b"host", b"content-type", b"content-encoding", b"transfer-encoding", b"authorization")
"""Headers of which a second one would be read by some and not by others."""


class FramingError(ValueError):
    """A head that is refused.

    Parameters
    ----------
    status
        The HTTP status code.
    detail
        What was wrong, and what to do about it.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def length(headers: Sequence[tuple[bytes, bytes]], protocol: str) -> int:
    """Check the headers of a request, whose names are in lower case, and read the length that they state.

    A body that comes in chunks, and a missing one, have a length of 0 here.

    The parser joins all transfer codings, looks at the last alone and passes over the others.

    Raises
    ------
    FramingError
        400 if a header is repeated that must not be, or HTTP/1.0 has a transfer coding; 501 if the coding is
        another one than ``chunked``.
    """
    found = dict(headers)
    if len(found) < len(headers):
        names = [name for name, _ in headers]
        for name in _ONCE:
            if names.count(name) > 1:
                raise FramingError(400, f"the header {name.decode()} is there twice; send it once")
    coding = found.get(b"transfer-encoding")
    if coding is None:
        return int(found.get(b"content-length", 0))
    if coding.lower() != b"chunked":
        shown = coding[:80].decode("latin-1")
        raise FramingError(501, f"Transfer-Encoding is {shown}; expected chunked, or a Content-Length")
    if protocol != "1.1":
        raise FramingError(400, f"HTTP/{protocol} has no Transfer-Encoding; send a Content-Length")
    return 0


def reason(error: httptools.HttpParserError) -> tuple[int, str]:
    """Give the status and the words for a head that the parser, or `length`, refused."""
    cause = error.__context__
    if isinstance(cause, FramingError):
        return cause.status, cause.detail
    words = "an invalid head" if cause else str(error).rstrip(".").lower()
    return 400, f"not HTTP: {words}"


def is_one(data: bytes) -> bool:
    """Tell whether some bytes hold no more than one end of a head, and no line after it."""
    newline = data.rfind(b"\n")
    return newline < 0 or newline == data.find(_END) + 3


def end_of_head(data: bytes) -> int:
    """Find the end of the first head in some bytes, or else the end of the bytes."""
    end = data.find(_END) if data.rfind(b"\n") >= 0 else -1  # bodies rarely hold newlines; rfind is fast
    return end + len(_END) if end >= 0 else len(data)
