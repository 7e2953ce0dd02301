"""The coverage of sets and intervals, compared with the exact law of split conformal prediction.

For the bundled data sets and the UCI sets, or any others with splits, 20 splits each. Half of the rows train
a network, by the recipe of `caveat train` but for 10 epochs: the law holds for any network. The other half is
divided at random several times, into two thirds to calibrate on and one third of fresh rows. At a coverage c,
the number of m fresh rows whose truth is held is then beta-binomial, with k = ceil((n + 1) c) for n
calibration rows: BetaBinomial(m, k, n + 1 - k), given the network and the rows outside its training. So all
divisions are independent of each other, also those of one network. The four coverages of one division are not
independent; the standard deviation of the total number of violations comes from a simulation.

A violation is a count outside the central 95 % of its law. Since counts are whole numbers, fewer than 5 % of
them are expected to be violations; the expected number is computed for each. A set of classes holds its label
in any case, and so a network that is right more often than asked holds more than the law says: there only
counts below the bounds are violations, and the expected number is the most that is expected. Two effects
change the law a little: scores may tie, which raises the coverage; and `calibrate` fits a temperature, or a
constant noise, on the same rows whose scores it then takes.

The bars: the number of violations of intervals is within 1.96 standard deviations of its expectation; that of
sets is at most as far above it. The results of sets that were measured before count too. Needs the training
extra.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from law import Count, bounds, coverage, rank, totals
from numpy.typing import NDArray
from values import names
from values import read as read_values

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import ROWS, Input
from caveat.models.errors import InputError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks.decisions import Decisions
from caveat.training.calibrate import calibrate
from caveat.training.data.bundled import BUNDLED
from caveat.training.data.dataset import Dataset
from caveat.training.options import Options
from caveat.training.train import train

RESULTS = Path(__file__).parents[1] / "results" / "conformal.json"
BY_CLASS = ", by class"
"""What a task is called after the name of its set, if the rate shall hold in every class."""

LEVELS = (0.8, 0.9, 0.95, 0.99)
EPOCHS = 10
COLUMNS = 4
"""Panels of the plot beside each other."""

SAMPLES = 100

Rows = NDArray[np.intp]


def main() -> int:
    """Measure, print a table, write it as JSON and as a plot; 1 if the bar was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of regression sets, <name>.npz")
    parser.add_argument("sets", nargs="*", help="sets to measure (default: the bundled ones, and all there)")
    parser.add_argument("--splits", type=int, default=20, help="splits of each set, at most (default: 20)")
    parser.add_argument("--divisions", type=int, default=5, help="divisions of each split (default: 5)")
    parser.add_argument("--plot", type=Path, help="where to write a plot, such as docs/coverage.svg")
    options = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.parent.mkdir(exist_ok=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    print(HEAD)
    for name in options.sets or (*BUNDLED, *names(options.data)):
        dataset, orders = read(options.data, name, options.splits)
        found = []
        for split, order in enumerate(orders):
            found += measure(dataset, order, split, options.divisions)
        for task in dict.fromkeys(count.task for count in found):
            print(table(task, [count for count in found if count.task == task]), flush=True)
        known[name] = [asdict(count) for count in found]
        RESULTS.write_text(json.dumps(known) + "\n")
    # The rows of a class are already counted among those of all classes.
    counts = [each for found in known.values() for each in recalled(found) if BY_CLASS not in each.task]
    print(table("in all", counts))
    if options.plot:
        plot(counts, options.plot)
    return int(missed(counts))


def missed(counts: Sequence[Count]) -> bool:
    """Compare the violations with their expectation, and print which bars are missed."""
    failed = False
    for kind, at_least in {"intervals": False, "sets": True}.items():
        of_kind = [each for each in counts if each.at_least == at_least]
        if not of_kind:
            continue
        seen, expected, deviation = totals(of_kind)
        off = (seen - expected) / deviation
        met = off <= 1.96 and (at_least or off >= -1.96)
        most = "at most " if at_least else ""
        print(f"{'met' if met else 'MISSED'}: {kind}, {seen} violations, expected {most}", end="")
        print(f"{expected:.1f} ± {deviation:.1f}")
        failed |= not met
    return failed


def recalled(known: list[dict[str, Any]]) -> list[Count]:
    """Read counts from JSON, where keys are text instead of numbers."""
    return [
        Count(**{**each, "held": {float(level): held for level, held in each["held"].items()}})
        for each in known
    ]


def read(folder: Path, name: str, splits: int) -> tuple[Dataset, Sequence[Rows]]:
    """Give a data set, and an order of its rows for every split, of which the first half trains."""
    if name in BUNDLED:
        dataset = BUNDLED[name]()
        return dataset, [np.random.default_rng(split).permutation(len(dataset.y)) for split in range(splits)]
    known = read_values(folder, name)
    signature = Input(name="x", dtype="float64", shape=(ROWS, known.x.shape[1]))
    dataset = Dataset(name=name, task="regression", input=signature, x=known.x, y=known.y, target="y")
    return dataset, list(np.concatenate([known.train, known.test], axis=1)[:splits])


def measure(dataset: Dataset, order: Rows, split: int, divisions: int) -> list[Count]:
    """Train a network on half of the rows, and count held truths for every division of the other half."""
    train, others = np.split(order, [len(order) // 2])
    bundle = trained(dataset, train, split)
    generator = np.random.default_rng(split)
    counts = []
    for _ in range(divisions):
        rows = generator.permutation(others)
        calibration, fresh = np.split(rows, [round(2 / 3 * len(rows))])
        counts += held(dataset, bundle, calibration, fresh, split)
    return counts


def trained(dataset: Dataset, rows: Rows, seed: int) -> Bundle:
    """Train a network on the given rows alone, and export it."""
    part = replace(dataset, x=dataset.x[rows], y=dataset.y[rows])
    return train(part, Options(name="benchmark", epochs=EPOCHS, test_size=0.1, seed=seed))


def held(dataset: Dataset, bundle: Bundle, calibration: Rows, fresh: Rows, split: int) -> list[Count]:
    """Calibrate, and count the fresh rows whose truth is held; for a classification also by class."""
    y = dataset.y[fresh]
    everything = np.ones(len(calibration), bool), np.ones(len(fresh), bool)
    if dataset.classes is None:
        return [count(dataset.name, split, flags(dataset, bundle, calibration, fresh), *everything)]
    of_class = [(dataset.y[calibration] == k, y == k) for k in range(len(dataset.classes))]
    by_class = flags(dataset, bundle, calibration, fresh, by_class=True)
    return [
        count(dataset.name, split, flags(dataset, bundle, calibration, fresh), *everything, at_least=True),
        *(count(dataset.name + BY_CLASS, split, by_class, *rows, at_least=True) for rows in of_class),
    ]


def flags(
    dataset: Dataset, bundle: Bundle, calibration: Rows, fresh: Rows, by_class: bool = False
) -> dict[float, NDArray[np.bool_]]:
    """Tell for which fresh rows the truth is held, by coverage."""
    known = {dataset.input.name: dataset.x[calibration]}
    calibrated = calibrate(bundle, known, dataset.y[calibration], SAMPLES, by_class=by_class)
    predictor = Predictor(calibrated, threads=1)
    answer = estimate(predictor, {dataset.input.name: dataset.x[fresh]}, SAMPLES, seed=0)
    y, rules = dataset.y[fresh], predictor.calibration
    assert rules is not None
    found = {}
    for level in LEVELS:
        try:
            rules.check(Decisions(level))
        except InputError:  # the calibration rows don't support the coverage
            continue
        if dataset.classes is None:
            low, high = rules.region(answer, level).T
            found[level] = (low <= y) & (y <= high)
        else:
            found[level] = rules.region(answer, level)[np.arange(len(y)), y]
    return found


def count(
    task: str,
    split: int,
    held: Mapping[float, NDArray[np.bool_]],
    calibration: NDArray[np.bool_],
    fresh: NDArray[np.bool_],
    at_least: bool = False,
) -> Count:
    """Count the flags of the chosen fresh rows."""
    sums = {level: int(each[fresh].sum()) for level, each in held.items()}
    return Count(task, split, int(calibration.sum()), int(fresh.sum()), sums, at_least)


HEAD = f"{'':18}{'rows':>11}" + "".join(f"{f'{level:.0%}: held, off, violations':>34}" for level in LEVELS)


def table(task: str, counts: Sequence[Count]) -> str:
    """Write a task as a line: its rows, and for every coverage what was held, and the violations.

    What was held is the mean fraction of the fresh rows, with its distance from the expectation in standard
    errors. Violations are given with their expected number.
    """
    rows = f"{counts[0].calibration}+{counts[0].fresh}" if len({c.fresh for c in counts}) == 1 else ""
    cells = []
    for level in LEVELS:
        only = [replace(each, held={level: each.held[level]}) for each in counts if level in each.held]
        if not only:
            cells.append(f"{'not supported':>34}")
            continue
        share, expected, error = coverage(only, level)
        seen, alarms, deviation = totals(only)
        off, predicted = (share - expected) / error, f"{alarms:.1f} ± {deviation:.1f}"
        cells.append(f"{share:>10.2%}{off:>+6.1f}{seen:>6}{predicted:>12}")
    return f"{task:18}{rows:>11}" + "".join(cells)


def plot(counts: Sequence[Count], path: Path) -> None:
    """Draw the first division of every split with its bounds, in one panel for each task."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "caveat", "svg.fonttype": "none", "font.size": 9})
    tasks = dict.fromkeys(each.task for each in counts)
    lines = math.ceil(len(tasks) / COLUMNS)
    figure, panels = pyplot.subplots(
        lines, COLUMNS, figsize=(10, 2.3 * lines), sharex=True, squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(tasks) :]:
        panel.remove()
    for panel, name in zip(panels.flat, tasks, strict=False):
        of_task = [each for each in counts if each.task == name]
        shown = list({each.split: each for each in reversed(of_task)}.values())
        for place, level in enumerate(LEVELS):
            n, m = shown[0].calibration, shown[0].fresh
            low, high = (100 * (bound / m - level) for bound in bounds(n, m, level))
            panel.fill_between([place - 0.4, place + 0.4], low, high, color="#8fc1de", alpha=0.5, lw=0)
            panel.hlines(100 * (rank(n, level) / (n + 1) - level), place - 0.4, place + 0.4, color="#0a6aa1")
            across = place + np.linspace(-0.35, 0.35, len(shown))
            outside = np.array([each.violations()[level] for each in shown])
            off = np.array([100 * (each.held[level] / m - level) for each in shown])
            panel.plot(across[~outside], off[~outside], ".", color="black", markersize=3)
            panel.plot(across[outside], off[outside], "x", color="#d1651f", markersize=5)
        panel.set(title=f"{name}, {n} + {m} rows")
        panel.set_xticks(range(len(LEVELS)), [f"{level:.0%}" for level in LEVELS])
        panel.grid(axis="y", alpha=0.3)
    figure.supylabel("held minus asked for, percentage points", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
