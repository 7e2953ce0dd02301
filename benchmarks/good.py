"""A good client: valid requests one after the other, each on a new connection.

It is a process of its own, so that no work of hostile clients counts as time of the service. It prints how
many answers there were of each status, and for each minute the time that 99 % of them took at most.
"""

import argparse
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from running import Stalls

ROUTE = "/models/digits/predict/uncertainty"
ROW = [[0.0] * 8] * 8
MINUTE = 60.0


@dataclass
class Asked:
    """What good clients got: counts of statuses, and milliseconds of each minute's slowest percent."""

    codes: Counter[str]
    p99: list[float]
    slowest: float


def ask(address: tuple[str, int], request: bytes) -> str:
    """Send one request; give the status, or the name of the error."""
    answer = b""
    try:
        with socket.create_connection(address, timeout=60) as client:
            client.sendall(request)
            while received := client.recv(2**16):
                answer += received
    except OSError as error:
        return type(error).__name__
    return answer[9:12].decode("latin-1") or "none"


def asking(address: tuple[str, int], seconds: float) -> Asked:
    """Ask for some time; answers during which the machine itself stalled do not count."""
    body = json.dumps({"inputs": [ROW]}).encode()
    request = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
    codes: Counter[str] = Counter()
    took: dict[int, list[float]] = {}
    began = time.monotonic()
    with Stalls() as stalls:
        while (now := time.monotonic()) < began + seconds:
            start, stalled = time.perf_counter(), stalls.seconds
            code = ask(address, request)
            spent = time.perf_counter() - start
            time.sleep(0.01 if spent < 1 else 0.3)  # gives `Stalls` time to notice a stall
            if stalls.seconds == stalled:
                codes[code] += 1
                took.setdefault(int((now - began) / MINUTE), []).append(1e3 * spent)
    minutes = [float(np.percentile(each, 99)) for each in took.values()]
    return Asked(codes, minutes, max(map(max, took.values()), default=0.0))


def begun(address: tuple[str, int], seconds: float) -> subprocess.Popen[str]:
    """Start a process that asks."""
    command = [sys.executable, __file__, address[0], str(address[1]), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> Asked:
    """Wait for the end of a process that asks, and read what it got."""
    told: dict[str, Any] = json.loads(process.communicate()[0])
    return Asked(Counter(told["codes"]), told["p99"], told["slowest"])


def main() -> None:
    """Ask, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("host")
    arguments.add_argument("port", type=int)
    arguments.add_argument("seconds", type=float)
    options = arguments.parse_args()
    print(json.dumps(vars(asking((options.host, options.port), options.seconds))))


if __name__ == "__main__":
    main()
