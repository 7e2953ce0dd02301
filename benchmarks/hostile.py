"""Good clients among hostile ones.

Hostile clients send random requests from a grammar of bad ones: deep and odd JSON, wrong framing, endless
heads, bodies far beyond the limit, requests that trickle in, unread answers, thousands of connections, and
all that once took a service from others (`attacks.py`). Good clients send valid requests all the while. The
hostile ones give way to them on the machine's cores, as they would have machines of their own. The program
ends with code 1 if the service answered anything with a 500, wrote a traceback, ended, left a
good client without an answer, kept it waiting, or holds more memory or files than before.
"""

import json
import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from statistics import median

import good
from attacks import Attacks
from report import parser
from running import Running, Stalls, started

ROUTE = "/models/digits/predict/uncertainty"
PATHS = ("/predict", "/predict/uncertainty", ROUTE, "/models/digits/versions/1/predict")
JSON, NPY = "application/json", "application/x-npy"
ROW = [[0.0] * 8] * 8
GROWTH = 64e6
"""Bytes by which the service may hold more at its end, which allocators keep."""
REFUSED = 0.05
"""Part of the good requests that may get a 429, while others ask for all that may wait."""
IDLE = 10.0
"""Seconds for which good clients ask an idle service."""
TIMEOUT = 3.0
"""Seconds of the client timeout, short enough that many clients exceed it."""
VALID = 64
"""One connection of a crowd in so many sends a valid request."""
PENDING = 512
"""Requests that the service admits: the valid ones among a crowd may fill the 128 of the default."""


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


def give_way() -> None:
    """Let a thread run when nothing else does."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def fuzz(
    running: Running,
    stalls: Stalls,
    seconds: float,
    seed: int,
    threads: int,
    crowd: int,
    rate: float,
    slower: float,
) -> list[str]:
    """Load a service with hostile and good clients; return the faults that were found."""
    codes: Counter[str] = Counter()
    lock = threading.Lock()

    def tell(code: str) -> None:
        with lock:
            codes[code] += 1

    idle = good.asking(running.address, min(IDLE, seconds))
    for path in PATHS[:2]:  # what the engine and the draws keep of the largest good request is no growth
        body = json.dumps({"inputs": [ROW] * 4096}).encode()
        with socket.create_connection(running.address, timeout=60) as client:
            client.sendall(
                b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
            )
            while client.recv(2**20):
                pass
    first, first_files = running.resident(), running.files()
    acts: Counter[str] = Counter()
    end = time.monotonic() + seconds

    def hostile(number: int) -> None:
        give_way()
        client = Hostile(seed * 1000 + number, running.address, tell)
        while time.monotonic() < end and running.alive:
            client.act()
            acts["acts"] += 1

    def crowds() -> None:
        give_way()
        client = Hostile(seed, running.address, tell)
        while time.monotonic() < end and running.alive:
            client.crowd(crowd, rate)
            time.sleep(1)

    askers = [good.begun(running.address, seconds) for _ in range(2)]
    workers = [threading.Thread(target=hostile, args=(number,)) for number in range(threads)]
    workers.append(threading.Thread(target=crowds))
    for worker in workers:
        worker.start()
    most = 0.0
    while any(worker.is_alive() for worker in workers):
        most = max(most, running.resident())
        time.sleep(1)
    asked = [good.ended(asker) for asker in askers]
    time.sleep(TIMEOUT + 15)  # until every client timeout is over, and memory has been returned
    late, files = running.resident(), running.files()
    answered = sum((each.codes for each in asked), Counter[str]())
    minutes = [max(both) for both in zip_longest(*(each.p99 for each in asked), fillvalue=0.0)]
    worst = max(minutes)
    print(
        f"seed {seed}: {acts['acts']} hostile acts in {seconds:.0f} s, answers {dict(codes)}; good clients "
        f"{dict(answered)}, 99 % within {worst:.0f} ms in the worst minute, {median(minutes):.0f} ms in the "
        f"median one and {max(idle.p99):.0f} ms before, the slowest "
        f"{max(each.slowest for each in asked) / 1e3:.2f} s; memory "
        f"{first / 1e6:.0f} MB at first, {most / 1e6:.0f} at most, "
        f"{late / 1e6:.0f} at last; files {first_files} and {files}; the machine stalled for "
        f"{stalls.seconds:.0f} s",
        flush=True,
    )
    faults = []
    if not answered.keys() <= {"200", "429"} or answered["429"] > REFUSED * answered.total():
        faults.append(f"good clients got {dict(answered)}")
    if worst > slower * max(idle.p99):
        faults.append(f"good clients waited {worst:.0f} ms, without hostile ones {max(idle.p99):.0f} ms")
    if codes["500"]:
        faults.append(f"{codes['500']} answers with 500")
    if late > first + GROWTH:
        faults.append(f"memory grew from {first / 1e6:.0f} to {late / 1e6:.0f} MB")
    if files > first_files + 5:
        faults.append(f"{files} files are open, at first {first_files}")
    return faults


def main() -> int:
    """Fuzz and print; return the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("--minutes", type=float, default=60, help="duration (default: 60)")
    arguments.add_argument("--seed", type=int, default=random.randrange(10**6), help="seed of all choices")
    arguments.add_argument("--threads", type=int, default=8, help="hostile clients at once (default: 8)")
    arguments.add_argument("--crowd", type=int, default=8000, help="connections of a crowd (default: 8000)")
    arguments.add_argument(
        "--rate", type=float, default=1000, help="connections of a crowd in a second (default: 1000)"
    )
    arguments.add_argument(
        "--slower",
        type=float,
        default=10,
        help="times its idle p99 that a good client may wait (default: 10)",
    )
    options = arguments.parse_args()
    print(f"seed {options.seed}", flush=True)
    flags = ("--client-timeout", f"{TIMEOUT:g}", "--max-pending", str(PENDING))
    with Stalls() as stalls, started(*flags) as running:
        seconds, seed = 60 * options.minutes, options.seed
        threads, crowd, rate = options.threads, options.crowd, options.rate
        faults = fuzz(running, stalls, seconds, seed, threads, crowd, rate, options.slower)
    faults += running.faults()
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
