"""Sends bytes to a service that no client library would send."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.service.serving import TIMEOUT, Service

ROUTE = "/models/linear/predict/uncertainty"
BODY = b'{"inputs": [[1, 2, 3]]}'
JSON = "Content-Type: application/json"


def head(*headers: str, path: str = ROUTE, method: str = "POST", protocol: str = "HTTP/1.1") -> bytes:
    lines = [f"{method} {path} {protocol}", "Host: here", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(body: bytes = BODY, *headers: str, path: str = ROUTE) -> bytes:
    return head(JSON, *headers, f"Content-Length: {len(body)}", path=path) + body


def get(path: str, *headers: str) -> bytes:
    return head(*headers, path=path, method="GET")


ENDLESS = post(b'{"inputs": [%b], "samples": 1000000000}' % b",".join([b"[1, 2, 3]"] * 10))
"""A request that has no answer before its client leaves."""

ROOM = ("--max-samples", "1000000000", "--max-pending-passes", "1000000000000")
"""Limits that let such requests in."""

UNHURRIED = (*ROOM, "--timeout", "1000000000", "--client-timeout", "600", "--drain", "600")
"""Limits in which a machine however busy does what is asked."""


def chunked(*chunks: bytes) -> bytes:
    """Write a request with a chunked body, from chunks with their framing."""
    return head(JSON, "Transfer-Encoding: chunked") + b"".join(chunks)


@dataclass
class Answer:
    """An answer, as read from a connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        document = json.loads(self.body)
        assert document["status"] == self.status
        return dict(document)


class Wire:
    """A connection to a service."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._file = connection.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send as much as the service takes."""
        with suppress(OSError):
            self.socket.sendall(data)

    def answer(self) -> Answer:
        """Read an answer, which must be there."""
        answer = self.answer_or_end()
        assert answer is not None, "the connection has ended"
        return answer

    def answer_or_end(self) -> Answer | None:
        """Read an answer; give none if the connection ends, or is cut."""
        try:
            line = self._file.readline()
            if not line:
                return None
            status = int(line.split()[1])
            headers = {}
            while line := self._file.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            return Answer(status, headers, self._file.read(int(headers.get("content-length", 0))))
        except ConnectionError:
            return None

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self.socket.close()

    def closed(self) -> bool:
        """Wait until the service closes the connection."""
        return self.answer_or_end() is None


@contextmanager
def wire(service: Service, seconds: float = TIMEOUT) -> Iterator[Wire]:
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80), timeout=seconds) as connection:
        client = Wire(connection)
        try:
            yield client
        finally:
            client.close()


def talk(service: Service, data: bytes) -> Answer:
    """Send bytes on a new connection; return the first answer other than 100."""
    with wire(service) as client:
        client.send(data)
        answer = client.answer()
        return client.answer() if answer.status == 100 else answer


def files(process: int) -> int:
    """Count the files that a process has open."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))
