"""A client that sends random requests from a grammar of bad ones."""

import json
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from attacks import Attacks

ROUTE = "/models/digits/predict/uncertainty"
PATHS = ("/predict", "/predict/uncertainty", ROUTE, "/models/digits/versions/1/predict")
JSON, NPY = "application/json", "application/x-npy"
ROW = [[0.0] * 8] * 8
TIMEOUT = 3.0
"""Seconds of the client timeout, short enough that many clients exceed it."""
VALID = 64
"""One connection of a crowd in so many sends a valid request."""


class Hostile:
    """Makes and sends bad requests; a seed decides every choice."""

    def __init__(self, seed: int, address: tuple[str, int], tell: Callable[[str], None]) -> None:
        self._random = random.Random(seed)
        self._address = address
        self._tell = tell
        self._attacks = Attacks(self._random)
        self._ways: tuple[Callable[[], None], ...] = (
            *[self.one] * 12,
            *[self.mutated] * 6,
            *[self.attack] * 6,
            self.large,
            self.endless,
            self.slow,
            self.unread,
            self.half_closed,
            self.pipelined,
            self.reset,
        )

    def act(self) -> None:
        """Send one bad request, or many."""
        with suppress(OSError):  # the service may close the connection of a bad request
            self._random.choice(self._ways)()

    def one(self) -> None:
        """Send one bad request, and read the answer."""
        self._sent(self._request())

    def attack(self) -> None:
        """Send one of the requests that are known to have done harm."""
        self._sent(self._attacks.request())

    def mutated(self) -> None:
        """Send a request with some bytes changed, left out or repeated."""
        data = bytearray(self._request())
        for _ in range(self._random.choice((1, 2, 5, 50))):
            place = self._random.randrange(len(data) + 1)
            piece = self._random.choice(
                (b"\0", b"\r\n", b"\r\n\r\n", b"\xff", b'"', b"[", b"-", b"9" * 30, b"")
            )
            data[place : place + self._random.choice((0, 1, 9))] = piece
        self._sent(bytes(data))

    def large(self) -> None:
        """Send a body of up to 100 MB."""
        size = self._random.choice((2**20, 2**25 - 100, 2**25 + 1, 10**8))
        piece = self._random.choice((b" ", b"[", b"1,", b'{"a":', b"[[],", b'"', b"[1,2],", bytes(2)))
        start = self._random.choice(
            (b"", b'{"inputs": [', b'{"inputs": [[[', b"\x93NUMPY\x01\0v\0{'descr': '<f8'")
        )
        head = self._head(length=size, content_type=self._random.choice((JSON, NPY)))
        with self._connected() as client:
            client.sendall(head + start)
            block, left = piece * (2**18 // len(piece)), size - len(start)
            while left > 0:
                client.sendall(block[:left])
                left -= len(block)
            self._read(client)

    def endless(self) -> None:
        """Send a head, a chunk or trailers that do not end."""
        start, piece = self._random.choice(
            (
                (b"GET /", b"a"),
                (b"GET / HTTP/1.1\r\nX: ", b"a"),
                (b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
                (b"", b"\r\n"),
                (self._head(chunked=True) + b"5;", b"a"),
                (self._head(chunked=True) + b"0\r\n", b"a: b\r\n"),
                (self._head(chunked=True), b"1\r\n \r\n"),
                (self._head(chunked=True) + b"f" * 15 + b"\r\n", b" "),
            )
        )
        with self._connected() as client:
            client.sendall(start)
            end = time.monotonic() + 2
            while time.monotonic() < end:
                client.sendall(piece * (2**14 // len(piece)))
            self._read(client)

    def slow(self) -> None:
        """Send a request a few bytes at a time."""
        data = self._request()
        with self._connected() as client:
            client.sendall(data[: self._random.randrange(len(data) + 1)])
            client.settimeout(0.3)
            for _ in range(self._random.randrange(30)):
                client.sendall(b" ")
                with suppress(TimeoutError):
                    if not client.recv(2**16):
                        return

    def unread(self) -> None:
        """Request large answers, and read none of them."""
        with self._connected() as client:
            client.settimeout(0.5)
            body = json.dumps({"inputs": [ROW] * self._random.choice((1, 300, 2000)), "samples": 2}).encode()
            with suppress(TimeoutError):
                for _ in range(self._random.randrange(1, 20)):
                    client.sendall(self._head(PATHS[2], len(body)) + body)
            time.sleep(self._random.choice((0, 1, 2 * TIMEOUT)))

    def half_closed(self) -> None:
        """Close the sending half before, within or after a request."""
        data = self._request()
        with self._connected() as client:
            client.sendall(data[: self._random.choice((0, len(data) // 2, len(data)))])
            client.shutdown(socket.SHUT_WR)
            self._read(client)

    def pipelined(self) -> None:
        """Send many requests at once, and read some of the answers, or none."""
        request = self._random.choice((b"GET /health/live HTTP/1.1\r\n\r\n", self._good(), self._request()))
        with self._connected() as client:
            client.settimeout(1)
            with suppress(TimeoutError):
                client.sendall(request * min(20_000, 2**22 // len(request)))
            with suppress(TimeoutError):
                client.recv(self._random.choice((1, 2**16, 2**20)))

    def reset(self) -> None:
        """Send a request, and reset the connection."""
        with self._connected() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(self._request())
            time.sleep(self._random.choice((0, 0.001, 0.01)))

    def crowd(self, count: int, rate: float) -> None:
        """Open many connections, ``rate`` in a second, and send a few bytes at most on each.

        Few of them send a valid request, since good clients wait in the same queue.
        """
        crowd = []
        began = time.monotonic()
        with suppress(OSError):
            for number in range(count):
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
                client = self._connected()
                crowd.append(client)
                begun = self._random.choice((b"", b"P", self._head(length=10**6)))
                client.sendall(begun if number % VALID else self._good())
        time.sleep(2)
        for client in crowd:
            client.close()

    def _connected(self) -> socket.socket:
        return socket.create_connection(self._address, timeout=30)

    def _sent(self, data: bytes) -> None:
        with self._connected() as client:
            client.settimeout(2 * TIMEOUT + 5)
            client.sendall(data)
            self._read(client)

    def _read(self, client: socket.socket) -> None:
        with suppress(TimeoutError):
            answer = client.recv(2**16)
            self._tell(answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "none")

    def _request(self) -> bytes:
        pick = self._random.choice
        if self._random.random() < 0.2:
            return pick(
                (
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
                    b"GET / HTTP/0.9\r\n\r\n",
                    b"CONNECT a:80 HTTP/1.1\r\n\r\n",
                    b"GET /models HTTP/1.1\nHost: a\n\n",
                    b"OPTIONS * HTTP/1.1\r\n\r\n",
                    self._random.randbytes(300),
                )
            )
        body = self._body()
        return self._head(
            self._path(), *pick(((len(body), False), (None, True), (len(body) + 5, False), (3, False)))
        ) + (body if self._random.random() < 0.8 else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    def _head(
        self,
        path: str | None = None,
        length: int | None = None,
        chunked: bool = False,
        content_type: str = JSON,
    ) -> bytes:
        lines = [f"POST {path or PATHS[1]} HTTP/1.1", "Host: a", f"Content-Type: {content_type}"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if self._random.random() < 0.2:
            lines.append(
                self._random.choice(
                    (
                        "Expect: 100-continue",
                        "Connection: Upgrade\r\nUpgrade: websocket",
                        "Connection: close",
                        "Content-Encoding: gzip",
                        "Accept: application/x-npz",
                        "Transfer-Encoding: chunked",
                        "Content-Length: 7",
                        "Content-Length: -1",
                        "X: " + "x" * 70_000,
                        "Content-Type: \xff",
                        "X-Request-Id: " + "\xe9" * 300,
                    )
                )
            )
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _path(self) -> str:
        odd = (
            "//",
            "/models/..%2f",
            "/%00",
            "/models/" + "a" * 300,
            "/docs/assets/%2e%2e",
            "/metrics",
            "/",
            "*",
        )
        query = ("", "?samples=x", "?seed=1&" * 50, "?quantiles=" + "1," * 500, "?%ff=%zz")
        known = self._random.random() < 0.8
        return self._random.choice(PATHS if known else odd) + self._random.choice(query)

    def _body(self) -> bytes:
        pick, count = self._random.choice, self._random.choice((1, 3, 900, 30_000))
        value = pick(
            (b"NaN", b"1e400", b"-1e999", b"null", b'"\\ud800"', b"9" * 400, b"true", b"[]", b"0.5", b"{}")
        )
        rows = pick(
            (
                b"[" * count + b"]" * count,
                b"[" * count,
                b'{"a":' * count + b"1" + b"}" * count,
                b"[[%b]]" % b",".join([b"[%b]" % b",".join([value] * 8)] * 8),
                json.dumps([ROW] * min(count, 3000)).encode(),
                b"[%b]" % b",".join([value] * count),
                value,
            )
        )
        field = pick(
            (b"samples", b"seed", b"sampler", b"tolerance", b"coverage", b"quantiles", b"inputs", b"\xff")
        )
        other = pick((value, rows, b"2", b'"random"', b"%d" % self._random.randrange(-(10**20), 10**20)))
        return pick(
            (
                b'{"inputs": %b}' % rows,
                b'{"inputs": %b, "%b": %b}' % (rows, field, other),
                b'{"%b": %b, "inputs": %b}' % (field, other, json.dumps([ROW]).encode()),
                b'{"inputs": [], %b}' % b",".join(b'"a%d": 1' % i for i in range(count)),
                b"\x93NUMPY\x01\0" + self._random.randbytes(200),
                b"\x93NUMPY\x01\0\x76\0"
                + b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 8, 8)}" % 10**12,
                b"",
            )
        )

    def _good(self) -> bytes:
        body = json.dumps({"inputs": [ROW]}).encode()
        return self._head(PATHS[2], len(body)) + body
