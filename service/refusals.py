"""Requests for which there is no room, refused from their first bytes.

To take a request in as others are taken in, and only then refuse it, costs half as much as its answer: at
a few times the rate that the service can answer, it would do nothing but refuse.
"""

import asyncio
import re
from collections import Counter
from functools import lru_cache
from typing import Final

import orjson

from service.door import too_many_requests
from service.errors import MEDIA_TYPE, problem
from service.metrics import Metrics
from service.paths import find
from service.settings import Settings

_LONGEST_HEAD: Final = 1024
"""Bytes; longer ones are read with care, as others are."""

_TELLING: Final = re.compile(
    rb"\r\n(?:content-length: *([0-9]{1,18}) *(?=\r\n)|transfer-encoding|expect|upgrade|connection: *close)",
    re.IGNORECASE,
)
"""What says where a request ends, or that it is no ordinary one."""


class Refusals:
    """Recognises requests for a prediction, and has the answer that refuses them."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.most = settings.max_pending
        """Requests that may be in the service."""
        self.answer = _answer(self.most)
        self._max_bytes = settings.max_bytes
        self._metrics = metrics
        self._uncounted: Counter[str] = Counter()

    def unread(self, data: bytes) -> int | None:
        """Count the bytes still to come of a request that is plainly one for a prediction, or give nothing.

        Parameters
        ----------
        data
            What has come of the request, and of no other.
        """
        head_end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
        route, length = _plain(data[: head_end + 2]) if head_end > 0 else (None, 0)
        unread = head_end + 4 + length - len(data)
        if route is None or length > self._max_bytes or unread < 0:
            return None
        self._count(route)
        return unread

    def _count(self, route: str) -> None:
        if not self._uncounted:  # counted together, a moment later
            asyncio.get_running_loop().call_soon(self._tell)
        self._uncounted[route] += 1

    def _tell(self) -> None:
        for route, count in self._uncounted.items():
            self._metrics.refused(route, 429, count)
        self._uncounted.clear()


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


def _answer(most: int) -> bytes:
    refusal = too_many_requests(most)
    content = orjson.dumps(problem(refusal.status, refusal.detail))
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(content)), **(refusal.headers or {})}
    lines = ["HTTP/1.1 429 Too Many Requests", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content
