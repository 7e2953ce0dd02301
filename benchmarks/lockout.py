"""Good clients beside one who sends all the work that a megabyte a second can carry.

The attacker has 100 connections, each of which sends its next request after the last answer, and 1 MB/s for
all of them. In each round it has one way: requests that fill the room for passes, many rows, many passes,
rows without dropout, requests just small enough to count as small, or all of these by chance. Meanwhile two
good clients send one row at a time, one for its uncertainty and one for its prediction. Prints which share of
them got a 200, and how long these took beside an idle service. Exits with code 1 if a bar was missed.
"""

import asyncio
import io
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import uvloop
from load import Result
from report import parser, write
from running import started

RATE = 1e6
"""Bytes per second that the attacker sends."""
CONNECTIONS = 100
ANSWERED = 0.95
"""The bar: the share of the good clients' requests with a 200."""
SLOWER = 10
"""The bar: the 99th percentile of their latency, as a multiple of that of an idle service."""
PAUSE = 0.003
"""Seconds between two requests of a good client."""

WAYS = ("room", "rows", "seeds", "passes", "predict", "small", "all")
PREDICT, UNCERTAINTY = "/predict", "/predict/uncertainty"
ROW = np.zeros((1, 8, 8))


def requests(way: str, seed: int) -> Callable[[], bytes]:
    """Make the attacker's requests, one after the other."""
    chance = random.Random(seed)

    def rows(count: int, **asked: object) -> bytes:
        """Send rows as bytes, one for each value."""
        buffer = io.BytesIO()
        np.save(buffer, np.zeros((count, 8, 8), np.uint8))
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        return post(f"{UNCERTAINTY}?{query}" if asked else PREDICT, buffer.getvalue(), "application/x-npy")

    ways: dict[str, Sequence[bytes]] = {
        "room": [rows(4096, samples=10_000), rows(4000, samples=2260)],
        "rows": [rows(4096, samples=100), rows(1000, samples=1000)],
        "seeds": [rows(100, samples=1000, seed=seed) for seed in range(50)],
        "passes": [rows(1, samples=10_000), rows(2, samples=9000, seed=1)],
        "predict": [rows(4096)],
        "small": [rows(10, samples=100), rows(1, samples=1000)],
    }
    ways["all"] = [each for those in ways.values() for each in those]
    if way == "room":  # one of the largest, and others that fill what it leaves
        return lambda: ways[way][seed > 0]
    return lambda: chance.choice(ways[way])


def post(path: str, body: bytes, media_type: str = "application/json") -> bytes:
    """Write a request."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: a",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answered(reader: asyncio.StreamReader) -> int:
    """Read an answer; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return int(head[9:12])


class Budget:
    """Bytes that all connections may send together."""

    def __init__(self) -> None:
        self._free_at = time.perf_counter()

    async def spend(self, count: int) -> None:
        """Wait until this many bytes may be sent."""
        now = time.perf_counter()
        self._free_at = max(now, self._free_at) + count / RATE
        await asyncio.sleep(self._free_at - now)


def attack(address: tuple[str, int], way: str, seconds: float) -> Counter[int]:
    """Attack a service; return the statuses of the answers."""
    codes: Counter[int] = Counter()
    end = time.perf_counter() + seconds

    async def one(number: int, budget: Budget) -> None:
        make = requests(way, number)
        while time.perf_counter() < end:
            try:
                reader, writer = await asyncio.open_connection(*address, limit=2**24)
                while time.perf_counter() < end:
                    data = make()
                    await budget.spend(len(data))
                    writer.write(data)
                    codes[await answered(reader)] += 1
            except (OSError, EOFError):
                codes[0] += 1

    async def main() -> None:
        budget = Budget()
        everyone = [asyncio.create_task(one(number, budget)) for number in range(CONNECTIONS)]
        await asyncio.wait(everyone, timeout=seconds)
        for task in everyone:
            task.cancel()

    uvloop.run(main())
    return codes


def ask(address: tuple[str, int], path: str, seconds: float) -> Result:
    """Send one row at a time, as a good client does."""
    request = post(path, json.dumps({"inputs": ROW.tolist()}).encode())

    async def main() -> Result:
        result = Result(seconds)
        reader, writer = await asyncio.open_connection(*address)
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            writer.write(request)
            code = await answered(reader)
            result.codes[code] += 1
            if code == 200:
                result.latencies.append(time.perf_counter() - start)
            await asyncio.sleep(PAUSE)
        writer.close()
        return result

    return uvloop.run(main())


def beside(
    clients: ProcessPoolExecutor, address: tuple[str, int], way: str | None, seconds: float
) -> dict[str, Any]:
    """Let the good clients ask, beside an attacker if there is a way."""
    attacker = clients.submit(attack, address, way, seconds + 2) if way else None
    time.sleep(1 if way else 0)
    asking = {path: clients.submit(ask, address, path, seconds) for path in (UNCERTAINTY, PREDICT)}
    figures: dict[str, Any] = {}
    for path, good in asking.items():
        result = good.result()
        figures[path] = {
            "answered": result.codes[200] / result.codes.total(),
            "codes": {str(code): count for code, count in sorted(result.codes.items())},
            **{f"p{q}_ms": 1e3 * result.percentile(q) for q in (50, 99)},
        }
    if attacker:
        figures["attacker"] = {str(code): count for code, count in sorted(attacker.result().items())}
    return figures


def main() -> int:
    """Measure, print, and write JSON; return the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=20, help="seconds of each way (default: 20)")
    arguments.add_argument("--ways", default=",".join(WAYS), help="ways, separated by commas (default: all)")
    options = arguments.parse_args()
    figures: dict[str, Any] = {}
    missed = False
    context = multiprocessing.get_context("spawn")
    for way in options.ways.split(","):
        with ProcessPoolExecutor(3, context) as clients, started() as running:
            beside(clients, running.address, None, 1)  # the first requests take longer
            idle = beside(clients, running.address, None, min(5, options.seconds))
            busy = beside(clients, running.address, way, options.seconds)
        figures[way] = {"idle": idle, "busy": busy}
        for path in (UNCERTAINTY, PREDICT):
            good, alone = busy[path], idle[path]
            slower = good["p99_ms"] / alone["p99_ms"]
            met = good["answered"] >= ANSWERED and slower < SLOWER
            missed |= not met
            print(
                f"{way}: {path}: {good['answered']:.1%} answered {json.dumps(good['codes'])}; ms p50 "
                f"{good['p50_ms']:.2f}, p99 {good['p99_ms']:.2f}, idle {alone['p50_ms']:.2f} and "
                f"{alone['p99_ms']:.2f}; {slower:.1f} times idle: {'met' if met else 'missed'}",
                flush=True,
            )
        print(f"{way}: the attacker got {json.dumps(busy['attacker'])}", flush=True)
    write("lockout", figures)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
