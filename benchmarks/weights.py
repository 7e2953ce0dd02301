"""The memory and time that loading a bundle takes, beside the bytes of its weights. Linux only.

Two fresh processes load the bundled digits, so that imports and first allocations are behind them. Then one
loads the bundle, and after it the other. Memory is what each step adds to the processes: their resident
memory (RSS); their proportional memory (PSS), in which a page that both share counts once; the peak of the
resident memory during the load; the resident memory after both graphs have run on the bundle's example; and
the proportional memory that the second process adds with its own load and run.
Files are in the system's cache. Needs the training extra.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir
from exported import exported, folder_of
from memory import forget_peak, mapped, peak
from report import parser, write

from caveat.models.bundles import store
from caveat.models.bundles.bundle import PREDICT

TINY = store.BUNDLED / "digits"
COLUMNS = {
    "bundle": "on disk",
    "rss": "RSS",
    "pss": "PSS",
    "peak": "peak RSS",
    "run": "RSS after a run",
    "second": "PSS of a second process",
}


def main() -> None:
    """Measure each bundle, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("models", nargs="*", type=Path, help="folders of models (default: the encoder's)")
    arguments.add_argument("--rounds", type=int, default=3, help="times to measure (default: 3)")
    arguments.add_argument(
        "--bundles", type=Path, help="folder that keeps the exported encoder (default: a temporary one)"
    )
    options = arguments.parse_args()
    figures: dict[str, dict[str, float]] = {}
    print(f"{'multiples of the weights':26}{'weights, MB':>12}", end="")
    print(*(f"{title:>{len(title) + 2}}" for title in COLUMNS.values()), f"{'load, s (CPU)':>16}", sep="")
    with folder_of(options.bundles) as bundles:
        for model in options.models or [exported("encoder", bundles)]:
            folder = store.find(model)
            figure = figures[f"{folder.parent.name}/{folder.name}"] = measured(folder, options.rounds)
            print(line(folder, figure), flush=True)
    write("weights", figures)


@dataclass
class Holder:
    """A process that loads bundles; see `holder.py`."""

    process: subprocess.Popen[str]

    def load(self, folder: Path) -> dict[str, float]:
        """Load a bundle; give the seconds."""
        return self._ask(str(folder.resolve()))

    def run(self) -> None:
        """Run both graphs of the last bundle."""
        self._ask("")

    def _ask(self, text: str) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(text, file=self.process.stdin, flush=True)
        seconds: dict[str, float] = json.loads(self.process.stdout.readline())
        return seconds


@contextmanager
def holding() -> Iterator[Holder]:
    """Start a process that has loaded the bundled digits, and run it until the block ends."""
    command = [sys.executable, str(Path(__file__).with_name("holder.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        holder = Holder(process)
        holder.load(store.find(TINY))
        holder.run()
        yield holder


def measured(folder: Path, rounds: int) -> dict[str, float]:
    """Give the medians over the rounds: bytes of the weights, their multiples, and seconds of a load."""
    weights = bytes_of_weights(folder)
    each = [one_round(folder) for _ in range(rounds)]
    figure = {name: statistics.median(one[name] for one in each) for name in each[0]}
    figure["bundle"] = float(sum(path.stat().st_size for path in folder.iterdir()))
    multiples = {name: figure[name] / weights for name in COLUMNS}
    return {"weights": weights, **multiples, "wall": figure["wall"], "cpu": figure["cpu"]}


def one_round(folder: Path) -> dict[str, float]:
    """Load a bundle in one process and then in another; give the bytes that each step adds."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(holding()) for _ in range(2))
        pid, pids = first.process.pid, (first.process.pid, second.process.pid)
        resident, none = held("Rss", pid), held("Pss", *pids)
        forget_peak(pid)
        seconds = first.load(folder)
        loaded = {"rss": held("Rss", pid), "pss": held("Pss", *pids), "peak": peak(pid)}
        first.run()
        run, one = held("Rss", pid), held("Pss", *pids)
        second.load(folder)
        second.run()
        both = held("Pss", *pids)
    return {
        "rss": loaded["rss"] - resident,
        "pss": loaded["pss"] - none,
        "peak": loaded["peak"] - resident,
        "run": run - resident,
        "second": both - one,
        **seconds,
    }


def held(kind: str, *pids: int) -> float:
    """Add up the memory of a kind that processes have mapped, in bytes."""
    return sum(1e6 * mapped(pid)[kind] for pid in pids)


def bytes_of_weights(folder: Path) -> float:
    """Add up the weights of the graph without dropout, wherever the bundle keeps them."""
    initializers: Any = onnx_ir.load(folder / PREDICT).graph.initializers.values()
    return float(sum(value.const_value.nbytes for value in initializers if value.const_value is not None))


def line(folder: Path, figure: dict[str, float]) -> str:
    """Format the figures of a bundle."""
    multiples = (f"{figure[name]:>{len(title) + 2}.2f}" for name, title in COLUMNS.items())
    seconds = f"{figure['wall']:.2f} ({figure['cpu']:.2f})"
    return f"{folder.parent.name:26}{figure['weights'] / 1e6:>12.1f}{''.join(multiples)}{seconds:>16}"


if __name__ == "__main__":
    main()
