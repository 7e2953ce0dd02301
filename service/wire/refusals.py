"""Requests for which there is no room, refused from their first bytes.

To take a request in as others are taken in, and only then refuse it, costs half as much as its answer: at
a few times the rate that the service can answer, it would do nothing but refuse. Even unread, a refusal
takes two calls of the system. So not more than so many are made in a second; the connections beyond wait
unread for their turn, which holds their clients back.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Final, NamedTuple

import orjson

from caveat.service.content.headers import EVERYWHERE
from caveat.service.content.paths import find
from caveat.service.door import too_many_requests
from caveat.service.errors import MEDIA_TYPE, RequestError, problem
from caveat.service.monitoring import request_id
from caveat.service.monitoring.ledger import Ledger
from caveat.service.monitoring.record import Record
from caveat.service.settings import Settings

_LONGEST_HEAD: Final = 1024
"""Bytes; longer ones are read with care, as others are."""

_RATE: Final = 500
"""Refusals in a second: with 1,000 there are 5 % fewer answers."""

_BURST: Final = 200
"""Refusals that may be made at once after a while with none."""

_PAUSE: Final = 0.002
"""Seconds between looks at those who wait for theirs."""

_TELLING: Final = re.compile(
    rb"\r\n(?:content-length: *([0-9]{1,18}) *(?=\r\n)|transfer-encoding|expect|upgrade|connection: *close)",
    re.IGNORECASE,
)
"""What says where a request ends, or that it is no ordinary one."""


class Plain(NamedTuple):
    """A request that is plainly one for a prediction: what it is called, its route, and the bytes to come."""

    id: str
    route: str
    unread: int


class Refusals:
    """Recognises requests for a prediction, and has the answer that refuses them."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.most = settings.max_pending
        """Requests that may be in the service."""
        self._refusal = too_many_requests(self.most)
        self._before, self._after = _halves(self._refusal)
        self._max_bytes = settings.max_bytes
        self._ledger = ledger
        self._free = float(_BURST)  # refusals that may be made now, as of `_since`
        self._since = 0.0
        self._put_off: deque[Callable[[], bool]] = deque()

    @property
    def waiting(self) -> int:
        """Connections that wait for their turn."""
        return len(self._put_off)

    def at_once(self) -> bool:
        """Tell whether one more refusal may be made now, before those that wait, and count it."""
        if self._put_off or self._may() < 1:
            return False
        self._free -= 1
        return True

    def put_off(self, look: Callable[[], bool]) -> None:
        """Let a connection wait, and look at it again in its turn, which tells whether it refused."""
        if not self._put_off:
            asyncio.get_running_loop().call_later(_PAUSE, self._go_on)
        self._put_off.append(look)

    def _go_on(self) -> None:
        while self._put_off and self._may() >= 1:
            self._free -= self._put_off.popleft()()
        if self._put_off:
            asyncio.get_running_loop().call_later(_PAUSE, self._go_on)

    def _may(self) -> float:
        """Count the refusals that may be made now."""
        now = asyncio.get_running_loop().time()
        self._free = min(_BURST, self._free + _RATE * (now - self._since))
        self._since = now
        return self._free

    def recognised(self, data: bytes) -> Plain | None:
        """Recognise a request that is plainly one for a prediction.

        Parameters
        ----------
        data
            What has come of the request, and of no other.
        """
        head_end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
        if head_end <= 0:
            return None
        name, head = request_id.cut_out(data[: head_end + 2])
        route, length = _plain(head)
        unread = head_end + 4 + length - len(data)
        if route is None or length > self._max_bytes or unread < 0:
            return None
        return Plain(name, route, unread)

    def answer(self, request: Plain) -> bytes:
        """Make the answer that refuses a request, and let it be counted."""
        detail = self._refusal.detail
        self._ledger.enter(
            Record(request.id, "POST", perf_counter(), route=request.route, code=429, detail=detail)
        )
        name = request.id.encode()
        return self._before % (len(self._after) + len(name) - 2, name) + self._after % name


@lru_cache(1024)  # a client's heads are mostly the same
def _plain(head: bytes) -> tuple[str | None, int]:
    """Tell the route and the length of an ordinary request for a prediction; of others, no route."""
    line, _, _ = head.partition(b"\r\n")
    method, _, rest = line.partition(b" ")
    path, _, protocol = rest.partition(b" ")
    found = find(path.partition(b"?")[0].decode("latin-1"))
    telling = _TELLING.findall(head)
    if not found or (method, protocol) != (b"POST", b"HTTP/1.1") or len(telling) != 1 or not telling[0]:
        return None, 0
    return found[0], int(telling[0])


def _halves(refusal: RequestError) -> tuple[bytes, bytes]:
    """Write the head of the answer, but for the length and the id, and its body, but for the id."""
    content = orjson.dumps(problem(refusal.status, refusal.detail, "%b"))
    headers = {"content-type": MEDIA_TYPE, **EVERYWHERE, **(refusal.headers or {}), "content-length": "%d"}
    headers[request_id.HEADER.lower()] = "%b"
    lines = ["HTTP/1.1 429 Too Many Requests", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode(), content
