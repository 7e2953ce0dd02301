"""Latency and memory under load and under overload.

Prints latency percentiles at fractions of the capacity, with requests at random times, answered or not;
goodput beyond the capacity; the latency of small requests while a large one runs; and memory after many
requests. The capacity is measured right before and right after each load, in a few rounds, each with a new
server. Needs the training extra.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from load import Result, closed, opened, rows_of
from report import parser, write
from serving import NETS, make

from caveat.service.desk.batching.sizing import SHORT

NET = NETS["784-128-10"]
CAVEAT = str(Path(sys.executable).with_name("caveat"))
ROUTE = "/predict/uncertainty"
LARGE = (4096, 1000)  # rows x passes
FACTORS = (0.5, 0.8, 1.2, 3.0)
GOODPUT = 0.9  # the bar under overload, as a fraction of the capacity


@dataclass
class Service:
    """A running service."""

    url: str
    pid: int

    def megabytes(self) -> float:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure, print, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=3, help="seconds of each load (default: 3)")
    arguments.add_argument("--rounds", type=int, default=5, help="rounds of all loads (default: 5)")
    arguments.add_argument(
        "--requests", type=int, default=1_000_000, help="requests before memory is measured (1000000)"
    )
    options = arguments.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        (row,) = make(NET, Path(scratch))
        body = rows_of([row], samples=100)
        loads: list[Load] = []
        for _ in range(options.rounds):
            with serving(Path(scratch)) as service:
                loads += at_rates(service, body, options.seconds)
        figures["capacity"] = statistics.median(load.capacity for load in loads)
        print(f"capacity, 32 connections: {figures['capacity']:.0f} answers per second", flush=True)
        figures["rates"] = [told([load for load in loads if load.factor == factor]) for factor in FACTORS]
        with serving(Path(scratch)) as service:
            figures["fairness"] = beside_a_large_one(service, row, body, options.seconds)
        with serving(Path(scratch)) as service:
            figures["endurance"] = after_many(service, body, options.requests)
    write("overload", figures)


@contextmanager
def serving(scratch: Path, *flags: str, program: Sequence[str] = (CAVEAT,)) -> Iterator[Service]:
    """Serve the bundle until the block ends."""
    command = [*program, "serve", str(scratch / "store"), "--port", "0", *flags]
    with (
        (scratch / "caveat.log").open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        ready = process.stdout.readline()  # Caveat serves ... at http://127.0.0.1:PORT, see ...
        try:
            yield Service(ready.rpartition(" at ")[2].partition(",")[0], process.pid)
        finally:
            process.terminate()


@dataclass
class Load:
    """A load, as a fraction of the capacity, and the service's answers under it."""

    factor: float
    capacity: float
    result: Result
    megabytes: float

    @property
    def goodput(self) -> float:
        """Rate of answers with status 200, as a fraction of the capacity."""
        return self.result.rate / self.capacity


def at_rates(service: Service, body: bytes, seconds: float) -> Iterator[Load]:
    """Load the service at fractions of its capacity, which is measured in between."""

    def capacity() -> float:
        return closed(service.url + ROUTE, body, 32, seconds).rate

    before = capacity()
    for factor in FACTORS:
        result = opened(service.url + ROUTE, body, factor * before, seconds)
        after = capacity()
        yield Load(factor, (before + after) / 2, result, service.megabytes())
        before = after


def told(loads: Sequence[Load]) -> dict[str, Any]:
    """Print and return the figures of a load over all rounds."""
    factor = loads[0].factor
    latencies = np.concatenate([load.result.latencies for load in loads])
    percentiles = {f"p{q:g}": 1e3 * float(np.percentile(latencies, q)) for q in (50, 90, 99, 99.9)}
    counts = sum((load.result.codes for load in loads), Counter[int]())
    codes = {str(code): count for code, count in sorted(counts.items())}
    goodputs = sorted(load.goodput for load in loads)
    goodput = statistics.median(goodputs)
    bar = f", bar {GOODPUT}: {'met' if goodput >= GOODPUT else 'missed'}" if factor > 1 else ""
    print(
        f"{factor:.0%} of capacity: goodput {goodput:.2f} of capacity ({goodputs[0]:.2f} to "
        f"{goodputs[-1]:.2f}{bar}); ms "
        + ", ".join(f"{name} {value:.1f}" for name, value in percentiles.items())
        + f"; codes {codes}; {max(load.megabytes for load in loads):.0f} MB",
        flush=True,
    )
    return {"factor": factor, "goodput": goodput, "goodputs": goodputs, **percentiles, "codes": codes}


def beside_a_large_one(service: Service, row: list[float], body: bytes, seconds: float) -> dict[str, float]:
    """Send small requests one after the other, to an idle service and while a large request runs."""
    idle = closed(service.url + ROUTE, body, 1, seconds)
    before = service.megabytes()
    rows, samples = LARGE
    values = np.random.default_rng(0).random((rows, len(row))).round(3).tolist()
    request = urllib.request.Request(
        service.url + ROUTE, rows_of(values, samples=samples), {"Content-Type": "application/json"}
    )
    took: list[float] = []
    grown = [before]

    def large() -> None:
        start = time.perf_counter()
        with urllib.request.urlopen(request, timeout=300) as answer:
            answer.read()
        took.append(time.perf_counter() - start)

    worker = threading.Thread(target=large)
    worker.start()
    latencies: list[float] = []
    while worker.is_alive():
        latencies += closed(service.url + ROUTE, body, 1, 0.3).latencies
        grown.append(service.megabytes())
    worker.join()
    figures = {
        "idle_p50_ms": 1e3 * idle.percentile(50),
        "idle_p99_ms": 1e3 * idle.percentile(99),
        "busy_p50_ms": 1e3 * float(np.percentile(latencies, 50)),
        "busy_p99_ms": 1e3 * float(np.percentile(latencies, 99)),
        "bar_ms": 5e3 * idle.percentile(99) + 1e3 * SHORT,  # for the p99: five times idle, and one turn
        "large_seconds": took[0],
        "grown_mb": max(grown) - before,
    }
    print(
        f"one row when idle: ms p50 {figures['idle_p50_ms']:.2f}, p99 {figures['idle_p99_ms']:.2f}; "
        f"beside {rows} rows x {samples} passes, which took {took[0]:.1f} s: ms "
        f"p50 {figures['busy_p50_ms']:.2f}, p99 {figures['busy_p99_ms']:.2f} (bar of the p99, five times "
        f"idle and one turn: {figures['bar_ms']:.2f}); memory grew by {figures['grown_mb']:.0f} MB",
        flush=True,
    )
    return figures


def after_many(service: Service, body: bytes, requests: int) -> dict[str, float]:
    """Measure the memory after ten thousand requests and after many more."""
    counted = 0
    early = None
    while counted < requests:
        counted += closed(service.url + ROUTE, body, 32, 2).codes.total()
        if early is None and counted >= 10_000:
            early = service.megabytes()
    figures = {"requests": counted, "mb_after_10000": early or 0.0, "mb_at_the_end": service.megabytes()}
    print(
        f"memory after 10,000 requests {figures['mb_after_10000']:.0f} MB, after {counted:,} "
        f"{figures['mb_at_the_end']:.0f} MB"
    )
    return figures


if __name__ == "__main__":
    main()
