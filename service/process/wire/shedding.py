"""Load shedding: a full service refuses requests that it does not read.

Parsing a request before refusing it costs half as much as answering it: at a few times the rate that the
service can answer, it would only refuse. Even a refusal from the first bytes takes two system calls. So the
rate of refusals is limited; the service stops reading the other connections until their turn, which slows
their clients down.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Final, NamedTuple

import orjson
from starlette.types import Scope

from caveat.service.desk.admission import Admission
from caveat.service.desk.monitoring.record import Record
from caveat.service.desk.monitoring.reports import Reports
from caveat.service.desk.refusals import FullError
from caveat.service.desk.room import too_many
from caveat.service.process.wire.timeouts import Client
from caveat.service.rest import request_id
from caveat.service.rest.guard import all_keys, shown
from caveat.service.rest.headers import EVERYWHERE
from caveat.service.rest.problems import MEDIA_TYPE, headers_of, problem, status_of
from caveat.service.rest.routes import find_verb
from caveat.service.settings import Settings

_LONGEST_HEAD: Final = 1024
"""Bytes of a head that is recognised; a request with a longer one is parsed as usual."""

_RATE: Final = 500
"""Refusals per second: 1,000 would leave 5 % fewer answers."""

_BURST: Final = 200
"""Refusals that are made at once after a while without any."""

_PAUSE: Final = 0.002
"""Seconds between two checks of the deferred connections."""

_HEAD: Final = re.compile(
    rb"POST ([!-~]+) HTTP/1\.1\r\n(?:[A-Za-z0-9!#$%&'*+.^_`|~-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+"
)
"""A head that the parser takes; what it refuses has to reach it."""

_HEADER: Final = re.compile(rb"\r\n([^:]++):[ \t]*+([^\r]*?)[ \t]*+(?=\r\n)")

_UNUSUAL: Final = {b"transfer-encoding", b"expect", b"upgrade", request_id.NAME}
"""Headers that make a request an unusual one; an id that is still there is one of two, or a wrong one."""


_BEARER: Final = re.compile(rb"\r\nauthorization:[ \t]*bearer[ \t]+([!-~]+)[ \t]*\r\n", re.IGNORECASE)


_ALL_KEYS: Final = FullError(
    "as many requests as the service takes at once, or as are this key's share, are waiting already;"
    " try again shortly"
)


class Plain(NamedTuple):
    """An ordinary request for a prediction: its id, its route, and the bytes of it still to come."""

    id: str
    route: str
    unread: int


class Shedding:
    """Recognises requests for a prediction from their first bytes, and refuses them at a limited rate.

    A connection whose request can't be refused yet is deferred: nothing reads it until its turn.
    """

    def __init__(self, settings: Settings, admission: Admission, reports: Reports) -> None:
        self._admission = admission
        self._keys = None if settings.api_keys is None else all_keys(settings)
        self._least = settings.max_pending if self._keys is None else admission.least_full
        self._refusal = too_many(settings.max_pending, "request") if self._keys is None else _ALL_KEYS
        self._before, self._after = _halves(self._refusal)
        self._max_bytes = settings.max_bytes
        self._reports = reports
        self._free = float(_BURST)  # refusals that could be made at `_since`
        self._since = 0.0
        self._deferred: deque[Callable[[], bool]] = deque()
        self.asking: set[Client] = set()
        """Connections whose requests hold a place, or will ask for one."""

    def asks(self, scope: Scope) -> bool:
        """Tell whether a request asks for a prediction, with a known key where keys are set."""
        if scope["method"] != "POST" or find_verb(scope["path"]) is None:
            return False
        return self._keys is None or self._keys.find(shown(scope)) is not None

    @property
    def waiting(self) -> int:
        """Number of deferred connections."""
        return len(self._deferred)

    def is_full(self, coming: int, data: bytes) -> bool:
        """Tell whether a request is refused unread.

        Parameters
        ----------
        coming
            Number of requests whose heads have been read, and whose bodies are not arriving.
        data
            The first bytes of the request.
        """
        coming -= self._admission.reading
        if coming < self._least:
            return False
        shown = _BEARER.search(data, 0, _LONGEST_HEAD) if self._keys else None
        key = self._keys.find(shown[1]) if self._keys and shown else None
        return self._admission.is_full(coming, key)

    def may_refuse(self) -> bool:
        """Tell whether a refusal may be made now, and count it; no if connections are deferred already."""
        if self._deferred or self._may() < 1:
            return False
        self._free -= 1
        return True

    def defer(self, retry: Callable[[], bool]) -> None:
        """Defer a connection; ``retry`` is called in its turn, and tells whether it refused the request."""
        if not self._deferred:
            asyncio.get_running_loop().call_later(_PAUSE, self._go_on)
        self._deferred.append(retry)

    def _go_on(self) -> None:
        while self._deferred and self._may() >= 1:
            self._free -= self._deferred.popleft()()
        if self._deferred:
            asyncio.get_running_loop().call_later(_PAUSE, self._go_on)

    def _may(self) -> float:
        """Compute how many refusals may be made now."""
        now = asyncio.get_running_loop().time()
        self._free = min(_BURST, self._free + _RATE * (now - self._since))
        self._since = now
        return self._free

    def recognised(self, data: bytes) -> Plain | None:
        """Recognise an ordinary request for a prediction; None for any other.

        Parameters
        ----------
        data
            The bytes of the request that have arrived, and of no other request.
        """
        head_end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
        if head_end <= 0:
            return None
        name, head = request_id.cut_out(data[: head_end + 2])
        route, length = (_plain if b"authorization" in head.lower() else _known)(head)
        unread = head_end + 4 + length - len(data)
        if route is None or length > self._max_bytes or unread < 0:
            return None
        return Plain(name, route, unread)

    def answer(self, request: Plain) -> bytes:
        """Write the answer that refuses a request, and record it."""
        detail = self._refusal.detail
        self._reports.enter(
            Record(
                request.id,
                "POST",
                perf_counter(),
                route=request.route,
                code=429,
                outcome="full",
                detail=detail,
            )
        )
        name = request.id.encode()
        return self._before % (len(self._after) + len(name) - 2, name) + self._after % name


def _plain(head: bytes) -> tuple[str | None, int]:
    """Find the route and the body's length of an ordinary request for a prediction; else no route."""
    found = _HEAD.fullmatch(head)
    verb = found and find_verb(found[1].partition(b"?")[0].decode())
    headers = [(name.lower(), value) for name, value in _HEADER.findall(head)] if verb else []
    told = dict(headers)
    length = told.get(b"content-length", b"")
    usual = (
        len(told) == len(headers)
        and not told.keys() & _UNUSUAL
        and told.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and re.fullmatch(b"[0-9]{1,18}", length)
    )
    return (verb[0].path, int(length)) if verb and usual else (None, 0)


_known: Final = lru_cache(1024)(_plain)
"""A client mostly sends equal heads; those with a key are not kept in memory."""


def _halves(refusal: FullError) -> tuple[bytes, bytes]:
    """Write the answer's head, with places for the length and the id, and its body, with one for the id."""
    content = orjson.dumps(problem(status_of(refusal), refusal.detail, "%b"))
    headers = {"content-type": MEDIA_TYPE, **EVERYWHERE, **headers_of(refusal), "content-length": "%d"}
    headers[request_id.HEADER.lower()] = "%b"
    lines = ["HTTP/1.1 429 Too Many Requests", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode(), content
