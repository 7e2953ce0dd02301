"""Workers killed and stopped under load, and their supervisor killed, with no room for temporary files.

Clients send requests on kept connections while one worker after the other gets SIGKILL and SIGSTOP in turn;
another client asks /health/ready on new connections all the while. The program ends with code 1 if a request
failed on a connection that belonged to another worker; if the service was unready for more than 2 s; if a
worker was not replaced; or if the service holds more memory or files than before. Connections made from the
blow until the system has closed the sockets of the victim, one by one, do not count.

Then one supervisor after the other gets SIGKILL. It is a fault if a request that was sent before gets no
answer; if a worker outlives its supervisor by more than 2 s; if the next start is not ready within 2 s, in
the median; or if anything is left in the temporary folder.
"""

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from report import parser
from running import Running, Stalls, started

ROUTE = "/models/digits/predict/uncertainty"
BODY = json.dumps({"inputs": [[[0.0] * 8] * 8]})
BLOWS = (signal.SIGKILL, signal.SIGSTOP)
UNREADY = 2.0
"""Seconds for which the service may be unready, and for which workers may outlive their supervisor."""
MOMENT = 0.25
"""Seconds within which the system closes every socket of a killed worker, including its listener."""
GROWTH = 30e6
"""Bytes by which the memory of all processes together may grow."""


class Client:
    """Sends requests on a kept connection, and notes the connections on which one failed."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.answered = 0
        self.refused: Counter[int] = Counter()
        self.failed: list[tuple[int, float, float]] = []  # port, when it was connected, and last asked on
        self._address = address

    def ask_until(self, end: threading.Event) -> None:
        """Send requests, and reconnect after a lost connection."""
        while not end.is_set():
            connection = http.client.HTTPConnection(*self._address, timeout=60)
            port = 0
            since = asked = time.monotonic()
            try:
                connection.connect()
                port = connection.sock.getsockname()[1]
                while not end.is_set():
                    asked = time.monotonic()
                    connection.request("POST", ROUTE, BODY, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 200:
                        self.answered += 1
                    else:
                        self.refused[answer.status] += 1
            except (OSError, http.client.HTTPException):
                self.failed.append((port, since, asked))
                end.wait(0.01)
            finally:
                connection.close()


class Prober:
    """Asks on new connections whether the service is ready."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.probes = 0
        self.failures: Counter[str] = Counter()
        self.slowest = 0.0
        self.longest = 0.0  # seconds from the last ready probe before unready ones to the first one after
        self._address = address

    def ask_until(self, end: threading.Event, stalls: Stalls) -> None:
        """Probe ten times within the time for which the service may be unready."""
        since, stalled = time.monotonic(), stalls.seconds
        bad = False
        while not end.is_set():
            start = time.monotonic()
            outcome = self._probe()
            now = time.monotonic()
            self.probes += 1
            late = now - start > UNREADY / 2
            if outcome == "200":
                if stalls.seconds == stalled:
                    self.slowest = max(self.slowest, now - start)
                    self.longest = max(self.longest, now - since if bad or late else 0.0)
                since, stalled, bad = now, stalls.seconds, False
            else:
                self.failures[outcome] += 1
                bad = True
            end.wait(0.02)

    def _probe(self) -> str:
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        try:
            connection.request("GET", "/health/ready")
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()


def held(worker: int, port: int) -> set[int]:
    """List the client ports of a process's connections to a port, with 0 if it listens on the port."""
    sockets = set()
    for entry in Path(f"/proc/{worker}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    clients = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, _, _, _, _, _, inode, *_ = line.split()
        if inode in sockets and int(here.rpartition(":")[2], 16) == port:
            clients.add(int(there.rpartition(":")[2], 16))
    return clients


def alive(process: int) -> bool:
    """Tell whether a process runs; one that has ended may wait for its new parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def replaced(running: Running, victim: int, count: int) -> float:
    """Wait until as many workers as before accept connections; return the seconds that it took."""
    start = time.monotonic()
    while time.monotonic() - start < 60:
        workers = running.workers()
        if (
            len(workers) == count
            and victim not in workers
            and all(0 in held(worker, running.address[1]) for worker in workers)
        ):
            return time.monotonic() - start
        time.sleep(0.02)
    return float("inf")


def scraped(running: Running) -> float:
    """Measure the seconds that collecting the counters of all workers takes."""
    connection = http.client.HTTPConnection(*running.address, timeout=30)
    start = time.perf_counter()
    connection.request("GET", "/metrics")
    connection.getresponse().read()
    took = time.perf_counter() - start
    connection.close()
    return took


def attack(running: Running, kills: int, pause: float, clients: int) -> list[str]:
    """Kill and stop workers under load, print the figures, and return the faults."""
    count = len(running.workers())
    asking = [Client(running.address) for _ in range(clients)]
    prober = Prober(running.address)
    end = threading.Event()
    faults = []
    with Stalls() as stalls:
        threads = [threading.Thread(target=client.ask_until, args=(end,)) for client in asking]
        threads.append(threading.Thread(target=prober.ask_until, args=(end, stalls)))
        for thread in threads:
            thread.start()
        time.sleep(pause)
        first, first_files, first_scrape = running.resident(), 0, scraped(running)
        longest = 0.0
        for number in range(kills * len(BLOWS)):
            blow = BLOWS[number % len(BLOWS)]
            if number == count:  # every worker is a replacement now; the first workers inherited less
                first_files = running.files()
            victim = running.workers()[0]  # the oldest
            before = [len(client.failed) for client in asking]
            # One reading of /proc can miss some connections.
            its = set().union(*(held(victim, running.address[1]) for _ in range(3)))
            killed = time.monotonic()
            os.kill(victim, blow)
            while victim in running.workers() and time.monotonic() < killed + 60:
                time.sleep(0.01)
            gone = time.monotonic()
            longest = max(longest, replaced(running, victim, count))
            time.sleep(pause)
            for client, failed in zip(asking, before, strict=True):
                others = [
                    port
                    for port, since, _ in client.failed[failed:]
                    if port not in its and not killed <= since <= gone + MOMENT
                ]
                if others:
                    faults.append(f"{blow.name} {number + 1}: cut {others}, which the victim did not hold")
        time.sleep(2 * pause)
        last, last_files, last_scrape = running.resident(), running.files(), scraped(running)
        end.set()
        for thread in threads:
            thread.join()
    failed = sum(len(client.failed) for client in asking)
    refused = sum((client.refused for client in asking), Counter[int]())
    answered = sum(client.answered for client in asking)
    blows = " and ".join(blow.name for blow in BLOWS)
    print(
        f"{count} workers, {kills} times {blows}: {answered} answers, {failed} cut off, "
        f"refused {dict(refused)}; replaced within {longest:.2f} s; {prober.probes} probes, "
        f"failed {dict(prober.failures)}, slowest "
        f"{prober.slowest:.2f} s, unready for {prober.longest:.2f} s at most; memory {first / 1e6:.0f} and "
        f"{last / 1e6:.0f} MB, files {first_files} and {last_files}; /metrics {1e3 * first_scrape:.1f} and "
        f"{1e3 * last_scrape:.1f} ms; the machine stalled for {stalls.seconds:.0f} s",
        flush=True,
    )
    if refused:
        faults.append(f"requests were refused: {dict(refused)}")
    if prober.longest > UNREADY:
        faults.append(f"it was unready for {prober.longest:.2f} s")
    if longest == float("inf"):
        faults.append("a worker was not replaced")
    if last > first + GROWTH:
        faults.append(f"memory grew from {first / 1e6:.0f} to {last / 1e6:.0f} MB")
    if last_files > first_files + 4:  # a probe or two may be open
        faults.append(f"{last_files} files are open, at first {first_files}")
    return faults


def topple(workers: int, kills: int, clients: int, scratch: str, ready: float) -> list[str]:
    """Kill supervisors under load, print the figures, and return the faults."""
    faults = []
    starts: list[float] = []
    longest_end = 0.0
    answered = 0
    for number in range(kills):
        start = time.monotonic()
        with started("--workers", str(workers), TMPDIR=scratch) as running:
            starts.append(time.monotonic() - start)
            end = threading.Event()
            asking = [Client(running.address) for _ in range(clients)]
            threads = [threading.Thread(target=client.ask_until, args=(end,)) for client in asking]
            for thread in threads:
                thread.start()
            time.sleep(0.1 * (number % 5))  # from at once to under load
            its = running.workers()
            running.process.kill()
            killed = time.monotonic()
            running.process.wait()
            while left := [worker for worker in its if alive(worker)]:
                if time.monotonic() > killed + UNREADY:
                    faults.append(f"supervisor {number + 1}: the workers {left} outlive it")
                    break
                time.sleep(0.01)
            longest_end = max(longest_end, time.monotonic() - killed)
            end.set()
            for thread in threads:
                thread.join()
            lost = [port for client in asking for port, _, asked in client.failed if asked < killed]
            if lost:
                faults.append(f"supervisor {number + 1}: no answer on {lost}")
            answered += sum(client.answered for client in asking)
    usual, slowest = (statistics.median(starts), max(starts)) if starts else (0.0, 0.0)
    print(
        f"{workers} workers, {kills} times SIGKILL of the supervisor: {answered} answers; its workers ended "
        f"within {longest_end:.2f} s; the next service was ready after {usual:.2f} s (median), "
        f"{slowest:.2f} s at most",
        flush=True,
    )
    if slowest > ready:
        faults.append(f"a start took {slowest:.2f} s")
    return faults


@contextmanager
def no_room() -> Iterator[str]:
    """Make a folder for temporary files on a full disk; else one that can't be written to."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            if mounted:
                with suppress(OSError):
                    Path(folder, "full").write_bytes(bytes(2**20))
            else:
                os.chmod(folder, 0o500)
            print(
                f"TMPDIR is {'a full disk' if mounted else 'a folder that can not be written to'}", flush=True
            )
            yield folder
        finally:
            if mounted:
                subprocess.run(["umount", folder], check=True)


def main() -> int:
    """Kill and print; return the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--workers", type=int, nargs="+", default=[2, 3], help="numbers of workers (default: 2 3)"
    )
    arguments.add_argument(
        "--kills", type=int, default=20, help="blows of each kind, for each number of workers (default: 20)"
    )
    arguments.add_argument(
        "--ready", type=float, default=2, help="seconds for a start after a kill (default: 2)"
    )
    arguments.add_argument("--pause", type=float, default=2, help="seconds between blows (default: 2)")
    arguments.add_argument("--clients", type=int, default=8, help="clients at once (default: 8)")
    options = arguments.parse_args()
    faults = []
    with no_room() as scratch:
        before = set(os.listdir(scratch))
        for workers in options.workers:
            with started("--workers", str(workers), TMPDIR=scratch) as running:
                faults += attack(running, options.kills, options.pause, options.clients)
            expected = ("worker_replaced", "worker_hung")
            faults += running.faults(*expected, killed=len(BLOWS) * options.kills)
            faults += topple(workers, options.kills, options.clients, scratch, options.ready)
        if left := set(os.listdir(scratch)) - before:
            faults.append(f"left in the temporary folder: {sorted(left)}")
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
