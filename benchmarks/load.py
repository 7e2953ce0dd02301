"""A client that loads a server: as fast as its connections allow (closed), or at a fixed rate (opened).

It supports only as much HTTP as servers on this machine need, so that it takes little of their CPU time.
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import uvloop


@dataclass
class Result:
    """The answers of a server under load.

    Parameters
    ----------
    seconds
        Duration of the load.
    codes
        Number of requests by status of their answers; 0 if the server closed the connection, -1 if no
        connection was free.
    latencies
        Seconds from the time at which a request was due to the end of its answer, for answers with status
        200.
    """

    seconds: float
    codes: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers with status 200 per second."""
        return self.codes[200] / self.seconds

    def percentile(self, q: float) -> float:
        """Compute a percentile of the latencies, in seconds."""
        return float(np.percentile(self.latencies, q)) if self.latencies else float("nan")


class _Connection(asyncio.Protocol):
    """A kept connection that sends one request after the other.

    Parameters
    ----------
    request
        The request to send, as bytes.
    answered
        Called after each answer with the connection, the status, and when the request was due.
    """

    def __init__(self, request: bytes, answered: Callable[["_Connection", int, float], None]) -> None:
        self._request = request
        self._answered = answered
        self._buffer = b""
        self.body = b""  # body of the last answer
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, due: float) -> None:
        """Send the request."""
        self._due = due
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        lower = head.lower()
        start = lower.find(b"content-length:") + 15
        length = int(lower[start:].partition(b"\r\n")[0]) if start >= 15 else _until_last_chunk(body)
        if length is not None and len(body) >= length:
            self._buffer, self.body = b"", body
            self._end(int(head[9:12]))

    def connection_lost(self, _error: Exception | None) -> None:
        self._end(0)

    def close(self) -> None:
        self._due = None
        self._transport.close()

    def _end(self, code: int) -> None:
        if self._due is not None:
            due, self._due = self._due, None
            self._answered(self, code, due)


def _until_last_chunk(body: bytes) -> int | None:
    return len(body) if body.endswith(b"0\r\n\r\n") else None


def request_of(url: str, body: bytes) -> bytes:
    """Write a POST request."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Load:
    """Connections to a server, and the answers on them."""

    def __init__(self, url: str, body: bytes) -> None:
        self.result = Result(0.0)
        self.pending = 0
        self.idle: deque[_Connection] = deque()  # all are used in turn, because servers close unused ones
        self._parts = urlsplit(url)
        self._request = request_of(url, body)

    async def connect(self, count: int) -> None:
        """Open connections."""
        loop = asyncio.get_running_loop()
        host, port = self._parts.hostname, self._parts.port
        assert host is not None
        assert port is not None
        for _ in range(count):
            _, connection = await loop.create_connection(
                lambda: _Connection(self._request, self._answered), host, port
            )
            self.idle.append(connection)

    def ask(self, due: float) -> None:
        """Send a request on an idle connection; count the request as -1 if there is none."""
        if self.idle:
            self.pending += 1
            self.idle.popleft().ask(due)
        else:
            self.result.codes[-1] += 1

    async def finish(self, start: float) -> Result:
        """Wait for all answers."""
        while self.pending:
            await asyncio.sleep(0.001)
        self.result.seconds = time.perf_counter() - start
        for connection in self.idle:
            connection.close()
        return self.result

    def _answered(self, connection: _Connection, code: int, due: float) -> None:
        self.pending -= 1
        self.result.codes[code] += 1
        if code == 200:
            self.result.latencies.append(time.perf_counter() - due)
        if code:
            self.idle.append(connection)


def closed(url: str, body: bytes, connections: int, seconds: float) -> Result:
    """Load a server in a closed loop: each connection sends its next request after the last answer."""

    class Closed(_Load):
        def _answered(self, connection: _Connection, code: int, due: float) -> None:
            super()._answered(connection, code, due)
            now = time.perf_counter()
            if now < end and code:
                self.ask(now)

    async def main() -> Result:
        load = Closed(url, body)
        await load.connect(connections)
        start = time.perf_counter()
        while load.idle:
            load.ask(start)
        return await load.finish(start)

    end = time.perf_counter() + seconds
    return uvloop.run(main())


def opened(url: str, body: bytes, rate: float, seconds: float, connections: int = 2000) -> Result:
    """Load a server in an open loop: requests come at random times at a rate, answered or not."""

    async def main() -> Result:
        load = _Load(url, body)
        await load.connect(connections)
        start = time.perf_counter()
        dues = start + np.random.default_rng(0).exponential(1 / rate, int(rate * seconds)).cumsum()
        sent = 0
        while sent < len(dues):
            now = time.perf_counter()
            while sent < len(dues) and dues[sent] <= now:
                load.ask(dues[sent])
                sent += 1
            await asyncio.sleep(0.0005)
        return await load.finish(start)

    return uvloop.run(main())


def rows_of(values: Sequence[Sequence[float]], **asked: object) -> bytes:
    """Write the body of a request."""
    return json.dumps({"inputs": values, **asked}).encode()
