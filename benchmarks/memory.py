"""The memory of a service, per worker, per model and per version. Linux only.

Measures all processes of a service together, after each version has answered 32 connections; a page that
several processes share counts once. Needs the training extra.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from load import closed, rows_of
from overload import serving
from report import parser, write
from serving import NETS, make

from caveat.models.bundles import store


@dataclass
class Store:
    """Versions of one network, and a request for them."""

    folder: Path
    row: list[float]
    megabytes: float


def main() -> None:
    """Measure, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--versions", type=int, default=6, help="versions, compared with one (default: 6)")
    arguments.add_argument("--workers", type=int, default=3, help="workers, compared with one (default: 3)")
    arguments.add_argument(
        "--seconds", type=float, default=1, help="seconds of load per version (default: 1)"
    )
    options = arguments.parse_args()
    figures: dict[str, dict[str, float]] = {}
    for net, widths in NETS.items():
        with tempfile.TemporaryDirectory() as scratch:
            served = written(widths, Path(scratch))
            one = held(served, 1, 1, options.seconds)
            workers = held(served, 1, options.workers, options.seconds)
            for _ in range(1, options.versions):
                store.add(served.folder / "store", store.load(store.find(served.folder / "store" / "mlp")))
            versions = held(served, options.versions, 1, options.seconds)
        figures[net] = {
            "bundle on disk": served.megabytes,
            "one worker, one version": one,
            "each further worker": (workers - one) / (options.workers - 1),
            "each further version": (versions - one) / (options.versions - 1),
        }
        print(net, *(f"{name:24}{figure:>8.1f} MB" for name, figure in figures[net].items()), sep="\n")
    write("memory", figures)


def written(widths: tuple[int, ...], folder: Path) -> Store:
    """Write a network's bundle into a store."""
    (row,) = make(widths, folder)
    files = (folder / "store").rglob("*")
    return Store(folder, row, sum(path.stat().st_size for path in files if path.is_file()) / 1e6)


def held(served: Store, versions: int, workers: int, seconds: float) -> float:
    """Serve, ask each version, and add up the memory of the processes, in megabytes."""
    with serving(served.folder, "--workers", str(workers)) as service:
        for version in range(1, versions + 1):
            url = f"{service.url}/models/mlp/versions/{version}/predict/uncertainty"
            result = closed(url, rows_of([served.row], samples=100), 32, seconds * workers)
            if result.codes[200] < result.codes.total():
                raise SystemExit(f"{url} answered {dict(result.codes)}")
        processes = [mapped(pid) for pid in family(service.pid)]
        own = sum(process["Pss_Anon"] for process in processes)
        return own + max(process["Rss"] - process["Anonymous"] for process in processes)


def family(pid: int) -> list[int]:
    """List a process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(below for child in children for below in family(int(child)))]


def mapped(pid: int) -> dict[str, float]:
    """Read the memory that a process has mapped, by kind, in megabytes."""
    _, *lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return {name: int(size.split()[0]) * 1024 / 1e6 for name, size in (line.split(":") for line in lines)}


def forget_peak(pid: int) -> None:
    """Let the peak of a process's resident memory start anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pid: int) -> float:
    """Read the peak of a process's resident memory, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
