"""What it is worth to pack weights ahead for the matrix products, as ONNX Runtime does for small models.

Packing copies the weights in each session, so that they no longer lie in memory once, and workers share
nothing. Both ways take turns within each round, with one thread; figures are medians over the rounds. Memory
is what the load of each adds to the process, apart from pages that processes can share. Linux only; needs the
training extra.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from exported import exported, folder_of
from memory import mapped
from networks import KINDS
from report import parser, write

from caveat.models.bundles import shared, store
from caveat.models.bundles.bundle import WEIGHTS
from caveat.models.engines import onnx_runtime
from caveat.models.predictor import Predictor

PASSES = {"encoder": 4, "wrn": 4}
"""Passes of a run over one row, for networks of which a run holds fewer than 100."""

WAYS = {"packed": 2**62, "as they are": 1}
"""Bytes of weights from which on they are not packed."""


def main() -> None:
    """Measure each network, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--networks", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    arguments.add_argument("--rounds", type=int, default=9, help="times to measure, in turn (default: 9)")
    arguments.add_argument(
        "--bundles", type=Path, help="folder that keeps the exported bundles (default: a temporary one)"
    )
    options = arguments.parse_args()
    figures = {}
    print(f"{'CPU time as they are / packed':26}{'predict: 1 row':>16}{'8 rows':>8}{'passes':>8}", end="")
    print(f"{'weights, MB':>13}{'memory packed':>15}{'as they are':>13}")
    with folder_of(options.bundles) as bundles:
        for name in options.networks:
            figure = figures[KINDS[name].title] = measured(name, bundles, options.rounds)
            print(line(KINDS[name].title, figure), flush=True)
    write("packing", figures)


def measured(name: str, bundles: Path, rounds: int) -> dict[str, float]:
    """Load a network both ways; give the ratios of the CPU times, and the megabytes of both."""
    folder = exported(name, bundles)
    bundle = store.load(folder)
    figure = {"weights": len(bundle.files[WEIGHTS]) / 1e6}
    made: dict[str, Predictor] = {}
    for way, large in WAYS.items():
        with patch.object(onnx_runtime, "LARGE", large), patch.object(shared, "LARGE", 1):
            before = mapped(os.getpid())["Anonymous"]
            made[way] = Predictor(store.load(folder), threads=1)
            figure[way] = mapped(os.getpid())["Anonymous"] - before
    passes = PASSES.get(name, 100)
    rows = {count: made["packed"].encode(KINDS[name].rows(count).numpy()) for count in (1, 8)}
    runs: dict[str, Callable[[Predictor], object]] = {
        "one": lambda predictor: predictor.predict(rows[1]),
        "eight": lambda predictor: predictor.predict(rows[8]),
        "passes": lambda predictor: predictor.some_passes(rows[1], 1, "stratified", 0, passes),
    }
    for what, run in runs.items():
        seconds = {way: [cost(run, predictor)] for way, predictor in made.items()}
        for _ in range(rounds):
            for way, predictor in made.items():
                seconds[way].append(cost(run, predictor))
        packed, plain = (statistics.median(seconds[way][1:]) for way in WAYS)
        figure[what] = plain / packed
    return figure


def cost(run: Callable[[Predictor], object], predictor: Predictor) -> float:
    """Measure the CPU time of a run, in seconds; short runs are repeated."""
    count, start = 0, time.process_time()
    while not count or time.process_time() - start < 0.05:
        run(predictor)
        count += 1
    return (time.process_time() - start) / count


def line(network: str, figure: dict[str, float]) -> str:
    """Format the figures of a network."""
    return (
        f"{network:26}{figure['one']:>16.2f}{figure['eight']:>8.2f}{figure['passes']:>8.2f}"
        f"{figure['weights']:>13.1f}{figure['packed']:>15.1f}{figure['as they are']:>13.1f}"
    )


if __name__ == "__main__":
    main()
