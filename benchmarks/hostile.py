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
from itertools import zip_longest
from statistics import median

import good
from hostile_client import PATHS, ROW, TIMEOUT, Hostile
from report import parser
from running import Running, Stalls, started

GROWTH = 64e6
"""Bytes by which the service may hold more at its end, which allocators keep."""
REFUSED = 0.05
"""Part of the good requests that may get a 429, while others ask for all that may wait."""
IDLE = 10.0
"""Seconds for which good clients ask an idle service."""
PENDING = 512
"""Requests that the service admits: the valid ones among a crowd may fill the 128 of the default."""


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
