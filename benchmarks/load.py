"""A client that loads a server: as fast as so many connections go, or at a rate of its own.

It speaks just enough HTTP for servers on this machine, so that it costs them little.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import uvloop


@dataclass
class Result:
    """What a server did under load.

    Parameters
    ----------
    seconds
        How long it was loaded.
    codes
        Answers by status; 0 where the server closed the connection, -1 where none was free.
    latencies
        Seconds from when a request was due to the end of its answer, of those with status 200.
    """

    seconds: float
    codes: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers with status 200 per second."""
        return self.codes[200] / self.seconds

    def percentile(self, q: float) -> float:
        """Give a percentile of the latencies, in seconds."""
        return float(np.percentile(self.latencies, q)) if self.latencies else float("nan")


class _Connection(asyncio.Protocol):
    """One request after the other on a connection that is kept."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self) -> asyncio.Future[int]:
        """Send the request; the future gives the status of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)  # type: ignore[attr-defined]
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        lower = head.lower()
        start = lower.find(b"content-length:") + 15
        length = int(lower[start:].partition(b"\r\n")[0]) if start >= 15 else _until_last_chunk(body)
        if length is not None and len(body) >= length and self._answer is not None:
            self._buffer = b""
            answer, self._answer = self._answer, None
            if not answer.done():
                answer.set_result(int(head[9:12]))

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def close(self) -> None:
        self._transport.close()


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


async def _connect(url: str, request: bytes, count: int) -> list[_Connection]:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(request), parts.hostname, parts.port)
        for _ in range(count)
    ]
    return [protocol for _, protocol in made]


def closed(url: str, body: bytes, connections: int, seconds: float) -> Result:
    """Let every connection send its next request as soon as its last one is answered."""

    async def main() -> Result:
        clients = await _connect(url, request_of(url, body), connections)
        end = time.perf_counter() + seconds
        result = Result(seconds)

        async def drive(client: _Connection) -> None:
            while (start := time.perf_counter()) < end:
                code = await client.ask()
                result.codes[code] += 1
                if code == 200:
                    result.latencies.append(time.perf_counter() - start)
                if code == 0:  # the server has closed the connection
                    (client,) = await _connect(url, request_of(url, body), 1)

        start = time.perf_counter()
        await asyncio.gather(*map(drive, clients))
        result.seconds = time.perf_counter() - start
        for client in clients:
            client.close()
        return result

    return uvloop.run(main())


def opened(url: str, body: bytes, rate: float, seconds: float, connections: int = 2000) -> Result:
    """Send requests at random times of a rate, whether or not earlier ones are answered."""

    async def main() -> Result:
        clients = await _connect(url, request_of(url, body), connections)
        result = Result(seconds)
        waits = np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))
        running: set[asyncio.Task[None]] = set()

        async def ask(due: float) -> None:
            if not clients:
                result.codes[-1] += 1  # all connections are waiting
                return
            client = clients.pop()
            code = await client.ask()
            result.codes[code] += 1
            if code == 200:
                result.latencies.append(time.perf_counter() - due)
            if code:
                clients.append(client)

        start = due = time.perf_counter()
        for wait in waits:
            due += wait
            ahead = due - time.perf_counter()
            if ahead > 0.0005:
                await asyncio.sleep(ahead)
            task = asyncio.ensure_future(ask(due))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        result.seconds = time.perf_counter() - start
        for client in clients:
            client.close()
        return result

    return uvloop.run(main())


def rows_of(values: Sequence[Sequence[float]], **asked: object) -> bytes:
    """Write the body of a request."""
    return json.dumps({"inputs": values, **asked}).encode()
