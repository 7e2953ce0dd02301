"""How long 100 passes take, with their mean and variance, beside PyTorch.

Caveat makes the draws of a fresh seed for every answer; a second column has the seed whose draws the service
keeps. PyTorch runs the two ways that people write: a loop over the passes, and rows that are repeated so that
one forward makes many passes, as many as are fastest. Neither way runs the layers before the first dropout
apart, since what people write doesn't. Both sides have as many threads, take turns within each round, and
figures are medians over the rounds.

PyTorch's passes cost the same each. Where 100 of them would take long, fewer are measured and scaled up; the
table says how many. So it is with Caveat's for the encoder, whose first dropout follows its first layer, and
whose draws then cost a little more each; elsewhere Caveat makes all passes. The share of the draws is the CPU
time of the same draws made alone.
Needs the training extra.
"""

import contextlib
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from exported import check, exported, folder_of
from networks import KINDS, made
from products import bare
from repeated import CHUNKS, fastest_chunk, looped, moments, tiled, with_dropout
from report import earlier, parser, write
from threadpoolctl import threadpool_limits
from torch import nn

from caveat.models.bundles import store
from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor

SAMPLES = 100
ROWS = (1, 8, 64)
KEPT_SEED = 0
LEAST_SECONDS = 0.05
"""Shorter runs are repeated for as long, and their mean is taken."""


@dataclass(frozen=True)
class Plan:
    """How much of a network is measured.

    Parameters
    ----------
    most
        Rows x passes that PyTorch makes in one measurement, and holds in one forward.
    whole
        Whether Caveat makes all passes; otherwise as many as PyTorch.
    kept
        Whether the service can keep the draws of its own seed, which have a limit.
    """

    most: int = 640
    whole: bool = True
    kept: bool = True


PLANS = {
    "mlp": Plan(6400),
    "mlp-wide": Plan(6400),
    "wrn": Plan(),
    "resnet18": Plan(),
    "lstm": Plan(),
    "encoder": Plan(128, whole=False, kept=False),
}


@dataclass(frozen=True)
class Side:
    """What is measured, and how many passes it makes."""

    run: Callable[[], object]
    passes: int = SAMPLES


Cell = dict[str, Any]
"""The figures of a network and a number of rows, seconds for 100 passes."""


def main() -> None:
    """Measure, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--networks", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    arguments.add_argument("--rows", nargs="+", type=int, default=ROWS, help="rows (default: 1 8 64)")
    arguments.add_argument("--rounds", type=int, default=3, help="times to measure, in turn (default: 3)")
    arguments.add_argument("--threads", type=int, default=1, help="of both; 0 takes all cores (default: 1)")
    arguments.add_argument(
        "--bundles", type=Path, help="folder that keeps the exported bundles (default: a temporary one)"
    )
    options = arguments.parse_args()
    threads = options.threads or os.cpu_count() or 1
    figures: dict[str, dict[str, Cell]] = {}
    print(f"{SAMPLES} passes, ms of CPU time (wall time), medians; threads: {threads}", flush=True)
    print(HEADER, flush=True)
    with limited(threads), folder_of(options.bundles) as bundles:
        for name in options.networks:
            cells = figures[KINDS[name].title] = {}
            measured = Measured(name, bundles, threads)
            for rows in options.rows:
                cell = cells[str(rows)] = measured.cell(rows, options.rounds)
                print(line(KINDS[name].title, rows, cell), flush=True)
    print(summary(figures))
    print(markdown(figures))
    before = earlier("passes")
    merged = {net: before.get(str(threads), {}).get(net, {}) | cells for net, cells in figures.items()}
    write("passes", before | {str(threads): before.get(str(threads), {}) | merged})


@contextlib.contextmanager
def limited(threads: int) -> Iterator[None]:
    """Give PyTorch and NumPy's products as many threads until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, "blas"):
            yield
    finally:
        torch.set_num_threads(before)


class Measured:
    """A network on both sides.

    Parameters
    ----------
    name
        Name in `KINDS`.
    bundles
        Folder of the bundles; see `exported`.
    threads
        Threads of a run.
    """

    def __init__(self, name: str, bundles: Path, threads: int) -> None:
        self._kind, self._plan = KINDS[name], PLANS[name]
        self._predictor = Predictor(store.load(exported(name, bundles)), threads, KEPT_SEED)
        check(self._predictor, name)
        self._network = with_dropout(made(name))
        self._seeds = count(KEPT_SEED + 1)

    def cell(self, rows: int, rounds: int) -> Cell:
        """Measure all sides on some rows."""
        x = self._kind.rows(rows)
        fewer = next((chunk for chunk in CHUNKS if chunk * rows <= self._plan.most), CHUNKS[-1])
        chunk = fastest_chunk(self._network, x, fewer, self._plan.most)
        own = SAMPLES if self._plan.whole else fewer
        sides = {
            **self._caveat(self._predictor.encode(x.numpy()), own),
            "loop": Side(lambda: moments(looped(self._network, x, fewer)), fewer),
            "tiled": Side(lambda: moments(tiled(self._network, x, fewer, chunk)), fewer),
            **{name: Side(run) for name, run in self._products(rows).items()},
        }
        cell: Cell = {"chunk": chunk, "passes": fewer, "own_passes": own, **in_turn(sides, rounds)}
        better = min(cell["loop"], cell["tiled"], key=lambda cost: float(cost["cpu"]))
        cell["ratio"] = {clock: better[clock] / cell["caveat"][clock] for clock in better}
        return cell

    def _caveat(self, inputs: Inputs, passes: int) -> dict[str, Side]:
        def answered(seed: int) -> object:
            return estimate(self._predictor, inputs, passes, seed)

        with patch.object(self._predictor._draws, "make", wraps=self._predictor._draws.make) as make:
            answered(next(self._seeds))

        def drawn() -> None:
            seed = next(self._seeds)
            for call in make.call_args_list:
                self._predictor._draws.make(seed, *call.args[1:], **call.kwargs)

        sides = {"caveat": Side(lambda: answered(next(self._seeds)), passes), "draws": Side(drawn, passes)}
        return sides | ({"kept": Side(lambda: answered(KEPT_SEED), passes)} if self._plan.kept else {})

    def _products(self, rows: int) -> dict[str, Callable[[], object]]:
        """Give the bare products of the passes, if they are all that the network computes."""
        layers = [part for part in self._network.modules() if not list(part.children())]
        linear = [part for part in layers if isinstance(part, nn.Linear)]
        if not all(isinstance(part, nn.Linear | nn.ReLU | nn.Dropout) for part in layers):
            return {}
        return bare((linear[0].in_features, *(part.out_features for part in linear)), rows)


def in_turn(sides: dict[str, Side], rounds: int) -> dict[str, dict[str, float]]:
    """Measure each side once in each round; give the medians, scaled to `SAMPLES` passes."""
    repeats = {name: math.ceil(LEAST_SECONDS / cost(side, 1)["wall"]) for name, side in sides.items()}
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            time.sleep(0.1)  # until no library's threads spin for more work
            costs[name].append(cost(side, repeats[name]))
    return {
        name: {clock: statistics.median(one[clock] for one in each) for clock in ("cpu", "wall")}
        for name, each in costs.items()
    }


def cost(side: Side, repeats: int) -> dict[str, float]:
    """Measure seconds of CPU time and wall time, scaled to `SAMPLES` passes."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        side.run()
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {clock: seconds / repeats * SAMPLES / side.passes for clock, seconds in spent.items()}


HEADER = (
    f"{'network':24}{'rows':>5}{'Caveat':>18}{'kept seed':>18}{'draws':>7}{'loop':>18}{'tiled':>18}"
    f"{'in a forward':>13}{'measured':>9}{'ratio':>7}{'wall':>7}{'limit':>7}"
)


def line(network: str, rows: int, cell: Cell) -> str:
    """Format the figures of some rows."""
    kept, limit = milliseconds(cell.get("kept")), f"{reached(cell):.2f}" if "numpy" in cell else ""
    return (
        f"{network:24}{rows:>5}{milliseconds(cell['caveat']):>18}{kept:>18}{share(cell):>7.0%}"
        f"{milliseconds(cell['loop']):>18}{milliseconds(cell['tiled']):>18}{cell['chunk']:>13}"
        f"{cell['passes']:>9}{cell['ratio']['cpu']:>7.2f}{cell['ratio']['wall']:>7.2f}{limit:>7}"
    )


def milliseconds(cost: dict[str, float] | None) -> str:
    """Format CPU time, and wall time in brackets."""
    if cost is None:
        return ""
    cpu, wall = (f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}" for ms in (1e3 * cost["cpu"], 1e3 * cost["wall"]))
    return f"{cpu} ({wall})"


def share(cell: Cell) -> float:
    """Compute the share of Caveat's CPU time that the draws of a fresh seed take."""
    return float(cell["draws"]["cpu"] / cell["caveat"]["cpu"])


def reached(cell: Cell) -> float:
    """Compute the fraction of the speed of the bare products, in the faster library, that Caveat reaches."""
    return float(min(cell[library]["cpu"] for library in ("numpy", "torch")) / cell["caveat"]["cpu"])


def summary(figures: dict[str, dict[str, Cell]]) -> str:
    """State the mean ratio, the least, and each of the encoder's."""
    ratios = {
        (network, rows): cell["ratio"]["cpu"] for network, of in figures.items() for rows, cell in of.items()
    }
    least = min(ratios, key=ratios.__getitem__)
    lines = [
        "CPU time, PyTorch's better way / Caveat with a fresh seed: "
        f"geometric mean {statistics.geometric_mean(ratios.values()):.2f}, "
        f"least {ratios[least]:.2f} ({least[0]}, {least[1]} rows)"
    ]
    encoder = figures.get(KINDS["encoder"].title, {})
    lines += [f"encoder, {rows} rows: {cell['ratio']['cpu']:.2f}" for rows, cell in encoder.items()]
    return "\n".join(lines)


def markdown(figures: dict[str, dict[str, Cell]]) -> str:
    """Format the figures as a table for the documentation."""
    lines = [
        "| ms of CPU time (wall time) | rows | Caveat | kept seed | share of the draws | PyTorch, loop "
        "| PyTorch, tiled | PyTorch / Caveat | of the products' speed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for network, of in figures.items():
        for rows, cell in of.items():
            measured = {"caveat": cell["own_passes"], "loop": cell["passes"], "tiled": cell["passes"]}
            ours, *theirs = (
                milliseconds(cell[side]) + (f", from {passes} passes" if passes < SAMPLES else "")
                for side, passes in measured.items()
            )
            limit = f"{reached(cell):.2f}" if "numpy" in cell else ""
            cells = [network, rows, ours, milliseconds(cell.get("kept")), f"{share(cell):.0%}"]
            cells += [*theirs, f"**{cell['ratio']['cpu']:.2f}**", limit]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
