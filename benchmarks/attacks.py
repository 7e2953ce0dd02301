"""Requests that took a service from others, or broke it, before it knew them; each stands for its kind."""

import json
import random
import struct
from collections.abc import Callable

UNCERTAINTY = "/models/digits/predict/uncertainty"
ROW = [[0.0] * 8] * 8
LARGEST = 2**25
"""Bytes of a body at most."""


class Attacks:
    """Makes requests; ``chance`` decides every choice."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._pick = chance.choice
        self._kinds: tuple[Callable[[], bytes], ...] = (
            *[self.head] * 6,
            *[self.query] * 6,
            *[self.described] * 6,
            *[self.twice] * 3,
            *[self.documents] * 2,
            self.work,
            self.echo,
            self.misfit,
        )

    def request(self) -> bytes:
        """Make a request of any kind."""
        return self._pick(self._kinds)()

    def head(self) -> bytes:
        """Write a head that is read in more than one way."""
        good = self._post(json.dumps({"inputs": [ROW]}).encode())
        line = self._pick(
            (
                b"no colon\r\n",
                b"X: a\0b\r\n",
                b"X: a\nY: b\r\n",
                b"X: a\rY: b\r\n",
                b" folded: a\r\n",
                b"X : a\r\n",
                b"Host: b\r\n",
                b"Content-Length: 7\r\n",
                b"Content-Type: text/plain\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Transfer-Encoding: gzip, chunked\r\n",
                b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
                b"Connection:\tclose\r\n",
                b"X-Request-Id: a\r\nX-Request-Id: b\r\n",
                b"X: " + b"x" * 20_000 + b"\r\n",
            )
        )
        if self._chance.random() < 0.2:
            good = self._pick((good.replace(b"\r\n", b"\n"), good.replace(b" HTTP", b"/ HTTP", 1)))
        return good.replace(b"Host: a\r\n", b"Host: a\r\n" + line, 1)

    def query(self) -> bytes:
        """Write a long or odd query, for any route."""
        query = self._pick(
            (
                "a&" * 8000,
                "a=1&" * 4000,
                "samples=1&" * 1500,
                "quantiles=" + "0.5," * 3500,
                "error_tolerance=" + "1," * 7000,
                "%61=" * 3000,
                f"samples={self._pick(('1_0', '%2010', '%D9%A1', '1e1', '010', '', 'NaN', '9' * 9000))}",
            )
        )
        if self._chance.random() < 0.5:
            path = self._pick(("/health/live", "/metrics", "/openapi.json", "/models", "/docs/assets/a", "/"))
            return f"GET {path}?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        return self._post(json.dumps({"inputs": [ROW]}).encode(), f"{UNCERTAINTY}?{query}")

    def described(self) -> bytes:
        """Write an array with a head that NumPy does not take, or takes for gigabytes."""
        size = self._pick(("0, 999999999", "1", "0", "999999999999999999", "65536", "1, 8, 8"))
        shape = ", ".join([size] * self._pick((1, 2, 20, 33, 64, 65, 100, 3000)))
        kind = self._pick(("<f4", "|u1", ">i8", "<f16", "|O", "|V9", "<M8", "a5", "<U9", "|b1"))
        order = self._pick((True, False))
        return self._array(f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({shape},), }}", b"")

    def work(self) -> bytes:
        """Ask for as many passes as may wait, in few bytes."""
        rows, samples = self._pick(((4096, 10_000), (4000, 2260), (4096, 100), (1, 10_000)))
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, 8, 8), }}"
        return self._array(header, bytes(64 * rows), f"{UNCERTAINTY}?samples={samples}")

    def twice(self) -> bytes:
        """Write a document with a key twice."""
        rows = json.dumps([ROW] * self._pick((1, 2000)))
        return self._post(
            self._pick(
                (
                    '{"inputs": %s, "inputs": []}',
                    '{"inputs": [], "inputs": %s}',
                    '{"seed": 1, "inputs": %s, "seed": 2}',
                    '{"inputs": {"image": %s, "image": []}}',
                    '{"inputs": %s, "\\u0069nputs": []}',
                )
            )
            .replace("%s", rows, 1)
            .encode()
        )

    def echo(self) -> bytes:
        """Write what a message would repeat."""
        long = "é" * self._pick((100, 10**6))
        return self._post(
            json.dumps(
                {"inputs": [ROW], "max_error": 0.1}
                | self._pick(
                    (
                        {"error_tolerance": [1.5] * 500_000},
                        {"quantiles": [0.5] * 500_000},
                        {"sampler": long},
                        {long: 1},
                        {"inputs": [{long: long}]},
                        {"inputs": long},
                        {"seed": [long] * 10},
                    )
                ),
                ensure_ascii=False,
            ).encode()
        )

    def misfit(self) -> bytes:
        """Fill a body with what costs more to parse than to send."""
        piece = self._pick(
            (
                b"[1],",
                b"[],",
                b"[",
                b"]",
                b"{},",
                b'{"a":1,',
                b'{"a":',
                b'"a",',
                b"a",
                b"9",
                b"1e9,",
                b" ",
                b'\\"',
            )
        )
        start = self._pick((b"", b'{"inputs": ', b'{"inputs": [', b'{"inputs": [[[', b'{"inputs": ["'))
        end = self._pick((b"", b"]}", b"]]]}", b'"]}'))
        size = self._pick((2**17, 2**20, LARGEST)) - len(start) - len(end)
        return self._post(start + piece * (size // len(piece)) + end)

    def documents(self) -> bytes:
        """Ask for documents that take no key, many at once."""
        path = self._pick(("/openapi.json", "/docs", "/metrics", "/docs/assets/swagger-ui-bundle.js", "/a/"))
        return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * self._pick((1, 100))

    def _array(self, header: str, held: bytes, path: str = UNCERTAINTY) -> bytes:
        head = header.encode() + b"\n"
        body = b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + held
        return self._post(body, path, "application/x-npy")

    def _post(self, body: bytes, path: str = UNCERTAINTY, content_type: str = "application/json") -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
