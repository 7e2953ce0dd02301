"""The rows until the test for drift raises an alarm on rotated digits, and its false alarms on upright ones.

The bundled model answers the digits that were held out from its training, upright and rotated anticlockwise.
Calibration rows, as many as the bundle has, and served rows are drawn from these answers with replacement,
so that upright rows are exchangeable with the calibration rows. For comparison, the same test is run with
ranks among the calibration rows alone, like the percentile of an answer, for which the bound on false alarms
does not hold. Needs the training extra.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rotate

from caveat.models.bundles.store import BUNDLED, load
from caveat.models.drift.drift import Capital, Drift
from caveat.models.drift.ranks import MOST
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.data.bundled import digits
from caveat.training.data.dataset import split

ANGLES = (15, 30, 45, 60, 75, 90)
ROWS = 200
CLEAN = 500
MARKS = (992, 4000, 16_000)
SEEDS = (1, 2, 3, 4, 5, 6)
WORKERS = (4, 16)

Vector = NDArray[np.float64]


class Test(Protocol):
    """A test for drift."""

    @property
    def value(self) -> float:
        """The capital of the bets."""

    def observe(self, uncertainty: Vector) -> None:
        """Add the next rows."""


Kind = Callable[[Vector, int], Test]


class Fixed:
    """A test with the same bets, on ranks among the calibration rows alone."""

    def __init__(self, known: Vector, seed: int) -> None:
        self._known = np.sort(known)
        self._capital = Capital()
        self._random = np.random.default_rng(seed)

    @property
    def value(self) -> float:
        """The capital of the bets."""
        return self._capital.value

    def observe(self, uncertainty: Vector) -> None:
        """Add the next rows, at most one portion."""
        smaller = np.searchsorted(self._known, uncertainty)
        equal = np.searchsorted(self._known, uncertainty, "right") - smaller + 1
        below = smaller + self._random.uniform(2**-53, 1, len(smaller)) * equal
        rows = len(self._known) + 1
        self._capital.bet(np.stack([rows - below, below], axis=-1) / rows)


def main() -> None:
    """Measure, print tables, and draw a plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quiet", type=int, default=1000, help="streams of upright digits (default: 1000)")
    parser.add_argument("--repeats", type=int, default=200, help="streams of rotated digits (default: 200)")
    parser.add_argument("--plot", type=Path, help="where to write a plot, such as docs/drift.svg")
    options = parser.parse_args()
    upright = uncertainty(0)
    print("Upright digits: fraction of streams that reach 20, and 100, within a number of rows")
    print(f"{'':>24}" + "".join(f"{mark:>20,}" for mark in MARKS))
    quiet("ranks among all before", Drift, upright, upright, options.quiet)
    quiet("among the calibration", Fixed, upright, upright, options.quiet)
    for seed in SEEDS:
        quiet(f"another seed, {seed}", Drift, upright, uncertainty(0, seed), options.repeats)
    for workers in WORKERS:
        shared(workers, upright, options.quiet)
    print("\nRotated digits: rows until 20 and 100 are reached, median (90 %), and fraction of streams")
    print(f"{'':>24}{'from the first row on':>40}{f'after {CLEAN} upright ones':>40}")
    for angle in ANGLES:
        rotated(angle, upright, uncertainty(angle), options.repeats)
    if options.plot:
        plot(upright, options.repeats, options.plot)


def uncertainty(angle: float, seed: int = 0) -> Vector:
    """Give the predictive entropies of the held-out digits, rotated by an angle in degrees."""
    dataset = digits()
    inputs, _ = dataset.fed(split(dataset, 0.2, 1).test)
    predictor = Predictor(load(BUNDLED / "digits" / "1"))
    assert predictor.calibration is not None
    images = rotate(inputs["image"], angle, axes=(2, 1), reshape=False, order=1)
    return predictor.calibration.uncertainty_of(estimate(predictor, {"image": images}, 100, seed))


def quiet(name: str, kind: Kind, upright: Vector, served: Vector, streams: int) -> None:
    """Print the fraction of streams with an alarm, by number of rows."""
    found = []
    for seed in range(streams):
        random = np.random.default_rng(seed)
        test = kind(random.choice(upright, len(upright)), seed)
        found.append(path([test], random.choice(served, (1, MARKS[-1])), MOST))
    show(name, np.array(found))


def shared(workers: int, upright: Vector, streams: int) -> None:
    """Print the same for the average of tests that share their calibration rows."""
    found = []
    for seed in range(streams // 2):
        random = np.random.default_rng(seed)
        known = random.choice(upright, len(upright))
        tests = [Drift(known, seed * workers + worker) for worker in range(workers)]
        found.append(path(tests, random.choice(upright, (workers, MARKS[1])), MOST))
    show(f"average of {workers} workers", np.array(found))


def path(tests: Sequence[Test], rows: Vector, portion: int) -> Vector:
    """Feed each test its rows in portions; give the average of the tests' values after each portion."""
    values = []
    for start in range(0, rows.shape[1], portion):
        for test, row in zip(tests, rows, strict=True):
            test.observe(row[start : start + portion])
        values.append(np.mean([test.value for test in tests]))
    return np.array(values)


def show(name: str, paths: Vector) -> None:
    """Print a line for paths, (streams, portions)."""
    line = f"{name:>24}"
    for mark in MARKS:
        if mark <= paths.shape[1] * MOST:
            highest = paths[:, : mark // MOST].max(axis=1)
            line += f"{(highest >= 20).mean():>13.1%}{(highest >= 100).mean():>7.1%}"
    print(line, flush=True)


def rotated(angle: int, upright: Vector, served: Vector, streams: int) -> None:
    """Print the number of rotated rows until an alarm, from the first row on and after upright rows."""
    line = f"{angle:>23}°"
    for clean in (0, CLEAN):
        paths = np.array([changing(seed, clean, upright, served)[clean:] for seed in range(streams)])
        for alarm in (20, 100):
            reached = paths >= alarm
            rows = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, np.inf)
            median, most = np.quantile(rows, (0.5, 0.9), method="higher")
            line += f"{median:>6.0f} ({most:>4.0f}){(rows < np.inf).mean():>7.1%}"
    print(line, flush=True)


def changing(seed: int, clean: int, upright: Vector, served: Vector) -> Vector:
    """Give the value of the test after each row, first of upright rows, then of the served ones."""
    random = np.random.default_rng(seed)
    test = Drift(random.choice(upright, len(upright)), seed)
    rows = np.concatenate([random.choice(upright, clean), random.choice(served, ROWS)])
    return path([test], rows[None], 1)


def plot(upright: Vector, streams: int, file: Path) -> None:
    """Draw the median path and the range of 90 % of the paths, for upright and for rotated digits."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "caveat", "svg.fonttype": "none", "font.size": 9})
    figure, panel = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    shown = {"upright": ("#777777", upright), "rotated by 90°": ("#d1651f", uncertainty(90))}
    shown["rotated by 30°"] = ("#0a6aa1", uncertainty(30))
    for name, (colour, served) in shown.items():
        paths = [changing(seed, CLEAN, upright, served) for seed in range(streams)]
        low, median, high = np.quantile(paths, (0.05, 0.5, 0.95), axis=0)
        rows = np.arange(1, len(median) + 1)
        panel.fill_between(rows, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(rows, median, color=colour, label=name)
    for alarm in (20, 100):
        panel.axhline(alarm, color="black", linewidth=0.8, linestyle=":")
        panel.annotate(str(alarm), (0, alarm), (2, 2), textcoords="offset points")
    panel.axvline(CLEAN, color="black", linewidth=0.8)
    panel.annotate("digits are rotated", (CLEAN, 1e5), (-4, 0), textcoords="offset points", ha="right")
    panel.set(xlabel="rows served", ylabel="value of the test", yscale="log", xlim=(0, CLEAN + ROWS))
    panel.legend(loc="upper left")
    panel.grid(alpha=0.3)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
