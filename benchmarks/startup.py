"""The time until `caveat serve` is ready, and its memory after a first answer. Linux only.

It serves the bundled model, and a copy of it with another description, which is tried in a process of its
own first, as any bundle is that does not ship with Caveat.

Run it with the Python of the environment that Caveat is installed in; it needs nothing else.
"""

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import parser, write

BUNDLED = Path(__file__).parents[1] / "models" / "bundled"
READY_SECONDS = 1.0
RESIDENT_MB = 150


def main() -> int:
    """Measure several starts and print their figures; return 1 if a bar is missed."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=7, help="times to start the service (default: 7)")
    arguments.add_argument(
        "--samples", type=int, default=100, help="passes of the first request (default: 100)"
    )
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        another = copied(Path(folder))
        rounds, tried = [], []
        for _ in range(options.rounds):  # in turn
            rounds.append(measure(options.samples))
            tried.append(measure(options.samples, another))
    figures = {
        "tried_ready_seconds": statistics.median(ready for ready, _ in tried),
        "tried_rounds": tried,
        "ready_seconds": statistics.median(ready for ready, _ in rounds),
        "ready_seconds_slowest": max(ready for ready, _ in rounds),
        "resident_mb": statistics.median(resident for _, resident in rounds),
        "ready_seconds_bar": READY_SECONDS,
        "resident_mb_bar": RESIDENT_MB,
        "rounds": rounds,
        "samples": options.samples,
    }
    print(table(figures))
    write("startup", figures)
    return 0 if figures["ready_seconds"] <= READY_SECONDS and figures["resident_mb"] <= RESIDENT_MB else 1


def copied(store: Path) -> Path:
    """Make a store with a copy of the bundled model that differs in its description."""
    shutil.copytree(BUNDLED, store, dirs_exist_ok=True)
    (manifest,) = store.glob("*/*/manifest.json")
    described = json.loads(manifest.read_text()) | {"description": "Another model."}
    manifest.write_text(json.dumps(described))
    return store


def measure(samples: int, *store: Path) -> tuple[float, float]:
    """Start a service, ask it once, stop it; return seconds to readiness, and megabytes after the answer."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("caveat")), "serve", "--port", str(port), *map(str, store)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAVEAT_")}
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as service:
        try:
            while not is_ready(port):
                if service.poll() is not None:
                    raise SystemExit(f"caveat serve ended with exit code {service.returncode}")
                time.sleep(0.005)
            ready = time.perf_counter() - start
            first_answer(port, samples)
            return ready, resident_mb(service.pid)
        finally:
            service.terminate()


def free_port() -> int:
    """Find a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    """Ask the service whether it is ready; False while it does not listen yet."""
    try:
        ask(port, "GET", "/health/ready")
    except (ConnectionError, http.client.HTTPException):
        return False
    return True


def first_answer(port: int, samples: int) -> None:
    """Ask for the uncertainty of one row of zeros, in the shape of the bundled digits."""
    ask(port, "POST", "/predict/uncertainty", {"inputs": [[[0.0] * 8] * 8], "samples": samples})


def ask(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Send one request; an answer other than 200 is an HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise http.client.HTTPException(f"{method} {path}: {answer.status} {text}")
    finally:
        connection.close()


def resident_mb(pid: int) -> float:
    """Read the resident memory of a process, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kib) * 1024 / 1e6


def table(figures: dict[str, Any]) -> str:
    """Format the figures as a table."""
    ready, resident = figures["ready_seconds"], figures["resident_mb"]
    return "\n".join(
        [
            f"caveat serve, median of {len(figures['rounds'])} starts",
            f"{'':36}{'measured':>10}{'bar':>10}",
            f"{'process start to ready, s':36}{ready:>10.2f}{READY_SECONDS:>10}",
            f"{'  slowest start, s':36}{figures['ready_seconds_slowest']:>10.2f}",
            f"{'  of a model that is tried, s':36}{figures['tried_ready_seconds']:>10.2f}",
            f"{'resident after the first answer, MB':36}{resident:>10.0f}{RESIDENT_MB:>10}",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
