"""A Transformer's encoder end to end: `caveat serve` beside FastAPI with PyTorch. Linux only.

A request holds 8 rows of 128 tokens and asks for 100 passes over 28 million weights, for Caveat with a fresh
seed each time. PyTorch repeats the rows, so that one forward makes as many passes as are fastest. Both
services run in this environment, with all cores, and answer in turn; the one that isn't asked waits idle.
Memory is the peak of a server's resident memory while it answers. Needs the training extra.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from exported import exported, folder_of
from load import rows_of
from memory import forget_peak, peak
from networks import KINDS, made
from overload import Service, serving
from repeated import fastest_chunk, with_dropout
from report import parser, write
from serving import PEERS, free_port, wait_until_answered

NAME = "encoder"
MOST_ROWS = 128
"""Rows x passes that one forward of PyTorch holds."""

TIMEOUT = 1800


def main() -> None:
    """Measure both, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=int, default=8, help="rows of a request (default: 8)")
    arguments.add_argument("--samples", type=int, default=100, help="passes of a request (default: 100)")
    arguments.add_argument("--rounds", type=int, default=3, help="times to ask each, in turn (default: 3)")
    arguments.add_argument(
        "--bundles", type=Path, help="folder that keeps the exported bundle (default: a temporary one)"
    )
    options = arguments.parse_args()
    rows = KINDS[NAME].rows(options.rows)
    with ExitStack() as stack:
        scratch = exported(NAME, stack.enter_context(folder_of(options.bundles))).parents[2]
        network = with_dropout(made(NAME))
        chunk = fastest_chunk(network, rows, options.samples, MOST_ROWS)
        torch.save(network.state_dict(), scratch / "weights.pt")
        caveat = stack.enter_context(serving(scratch, "--timeout", str(TIMEOUT)))
        services = {
            "Caveat": Service(f"{caveat.url}/predict/uncertainty", caveat.pid),
            "FastAPI and PyTorch": stack.enter_context(peer(scratch, chunk)),
        }
        figures = in_turn(services, rows.tolist(), options.samples, options.rounds)
    print(f"{options.rows} rows, {options.samples} passes, medians; PyTorch makes {chunk} in a forward")
    print(table(figures))
    write("encoder", {"rows": options.rows, "samples": options.samples, "chunk": chunk, "services": figures})


@contextmanager
def peer(scratch: Path, chunk: int) -> Iterator[Service]:
    """Serve the same weights with FastAPI until the block ends."""
    port = free_port()
    variables = {
        "PEER_WEIGHTS": str(scratch / "weights.pt"),
        "PEER_CHUNK": str(chunk),
        "PYTHONPATH": os.pathsep.join(map(str, (PEERS, PEERS.parent))),
    }
    command = [sys.executable, "-m", "uvicorn", "encoder_app:app", "--port", str(port), "--no-access-log"]
    with (
        (scratch / "peer.log").open("wb") as log,
        subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}/ask"
            row = KINDS[NAME].rows(1).tolist()
            wait_until_answered(process, url, rows_of(row, samples=2), scratch / "peer.log")
            yield Service(url, process.pid)
        finally:
            process.terminate()


def in_turn(
    services: dict[str, Service], rows: list[list[int]], samples: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Ask each service once in each round, after a small request; give the medians."""
    asked: dict[str, list[dict[str, float]]] = {name: [] for name in services}
    for seed in range(1, rounds + 1):
        for name, service in services.items():
            post(service.url, rows_of(rows, samples=2))
            own = {"seed": seed} if name == "Caveat" else {}
            asked[name].append(measured(service, rows_of(rows, samples=samples, **own)))
    return {
        name: {figure: statistics.median(one[figure] for one in each) for figure in each[0]}
        for name, each in asked.items()
    }


def measured(service: Service, body: bytes) -> dict[str, float]:
    """Ask a service; give seconds of wall time, of the server's CPU time, and the peak of its memory."""
    forget_peak(service.pid)
    wall, cpu = time.perf_counter(), cpu_seconds(service.pid)
    post(service.url, body)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": cpu_seconds(service.pid) - cpu,
        "peak": peak(service.pid),
    }


def post(url: str, body: bytes) -> Any:
    """Send a request and read its answer."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer)


def cpu_seconds(pid: int) -> float:
    """Read the CPU time of all threads of a process."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")


def table(figures: dict[str, dict[str, float]]) -> str:
    """Format the figures, and how many times those of Caveat the other's are."""
    lines = [f"{'':22}{'s a request':>13}{'a minute':>10}{'CPU, s':>9}{'peak, MB':>10}"]
    lines += [
        f"{name:22}{of['wall']:>13.2f}{60 / of['wall']:>10.2f}{of['cpu']:>9.2f}{of['peak'] / 1e6:>10.0f}"
        for name, of in figures.items()
    ]
    ours, theirs = figures.values()
    ratios = {name: theirs[name] / ours[name] for name in ours}
    lines.append(f"{'ratio':22}{ratios['wall']:>13.2f}{'':10}{ratios['cpu']:>9.2f}{ratios['peak']:>10.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
