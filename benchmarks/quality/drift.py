"""How soon the test for drift rings on turned digits, and how often it rings on digits that are as ever.

The bundled model answers the digits that were held out from its training, upright and turned anticlockwise.
Calibration rows, as many as the bundle has, and rows to serve are drawn from these answers with replacement,
so that upright ones are exchangeable with the calibration. Beside it stands the same test with ranks among
the calibration rows alone, as the percentile of an answer has them, which does not keep the promise. Needs
the training extra.
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
from caveat.models.estimates.cohort import estimate
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
        """What the bets have come to."""

    def observe(self, uncertainty: Vector) -> None:
        """Take the next rows."""


Kind = Callable[[Vector, int], Test]


class Fixed:
    """The same bets on ranks among the calibration rows alone."""

    def __init__(self, known: Vector, seed: int) -> None:
        self._known = np.sort(known)
        self._capital = Capital()
        self._random = np.random.default_rng(seed)

    @property
    def value(self) -> float:
        """What the bets have come to."""
        return self._capital.value

    def observe(self, uncertainty: Vector) -> None:
        """Take the next rows, few enough for one portion."""
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
    parser.add_argument("--repeats", type=int, default=200, help="streams of turned digits (default: 200)")
    parser.add_argument("--plot", type=Path, help="where to write a plot, such as docs/drift.svg")
    options = parser.parse_args()
    upright = uncertainty(0)
    print("Upright digits: the part of streams that have reached 20, and 100, within so many rows")
    print(f"{'':>24}" + "".join(f"{mark:>20,}" for mark in MARKS))
    quiet("ranks among all before", Drift, upright, upright, options.quiet)
    quiet("among the calibration", Fixed, upright, upright, options.quiet)
    for seed in SEEDS:
        quiet(f"another seed, {seed}", Drift, upright, uncertainty(0, seed), options.repeats)
    for workers in WORKERS:
        shared(workers, upright, options.quiet)
    print("\nTurned digits: rows until 20 and 100 are reached, median (90 %) and within how many streams")
    print(f"{'':>24}{'from the first row on':>40}{f'after {CLEAN} upright ones':>40}")
    for angle in ANGLES:
        turned(angle, upright, uncertainty(angle), options.repeats)
    if options.plot:
        plot(upright, options.repeats, options.plot)


def uncertainty(angle: float, seed: int = 0) -> Vector:
    """Answer the digits held out, turned by so many degrees; their predictive entropies."""
    dataset = digits()
    inputs, _ = dataset.fed(split(dataset, 0.2, 1).test)
    predictor = Predictor(load(BUNDLED / "digits" / "1"))
    assert predictor.calibration is not None
    images = rotate(inputs["image"], angle, axes=(2, 1), reshape=False, order=1)
    return predictor.calibration.uncertainty_of(estimate(predictor, {"image": images}, 100, seed))


def quiet(name: str, kind: Kind, upright: Vector, served: Vector, streams: int) -> None:
    """Print in which part of the streams there was an alarm, by row."""
    found = []
    for seed in range(streams):
        random = np.random.default_rng(seed)
        test = kind(random.choice(upright, len(upright)), seed)
        found.append(path([test], random.choice(served, (1, MARKS[-1])), MOST))
    show(name, np.array(found))


def shared(workers: int, upright: Vector, streams: int) -> None:
    """Print the same of the average over tests that share the calibration rows."""
    found = []
    for seed in range(streams // 2):
        random = np.random.default_rng(seed)
        known = random.choice(upright, len(upright))
        tests = [Drift(known, seed * workers + worker) for worker in range(workers)]
        found.append(path(tests, random.choice(upright, (workers, MARKS[1])), MOST))
    show(f"average of {workers} workers", np.array(found))


def path(tests: Sequence[Test], rows: Vector, portion: int) -> Vector:
    """Show each test its rows in portions; the average of their values after each portion."""
    values = []
    for start in range(0, rows.shape[1], portion):
        for test, row in zip(tests, rows, strict=True):
            test.observe(row[start : start + portion])
        values.append(np.mean([test.value for test in tests]))
    return np.array(values)


def show(name: str, paths: Vector) -> None:
    """Print a line on paths, (streams, portions)."""
    line = f"{name:>24}"
    for mark in MARKS:
        if mark <= paths.shape[1] * MOST:
            highest = paths[:, : mark // MOST].max(axis=1)
            line += f"{(highest >= 20).mean():>13.1%}{(highest >= 100).mean():>7.1%}"
    print(line, flush=True)


def turned(angle: int, upright: Vector, served: Vector, streams: int) -> None:
    """Print how many turned rows it takes, from the beginning and after upright ones."""
    line = f"{angle:>23}°"
    for clean in (0, CLEAN):
        paths = np.array([changing(seed, clean, upright, served)[clean:] for seed in range(streams)])
        for alarm in (20, 100):
            rung = paths >= alarm
            rows = np.where(rung.any(axis=1), rung.argmax(axis=1) + 1, np.inf)
            median, most = np.quantile(rows, (0.5, 0.9), method="higher")
            line += f"{median:>6.0f} ({most:>4.0f}){(rows < np.inf).mean():>7.1%}"
    print(line, flush=True)


def changing(seed: int, clean: int, upright: Vector, served: Vector) -> Vector:
    """Give the value after each row of upright ones that others follow."""
    random = np.random.default_rng(seed)
    test = Drift(random.choice(upright, len(upright)), seed)
    rows = np.concatenate([random.choice(upright, clean), random.choice(served, ROWS)])
    return path([test], rows[None], 1)


def plot(upright: Vector, streams: int, file: Path) -> None:
    """Draw the median path and what 90 % of the paths are within, upright and turned after a while."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "caveat", "svg.fonttype": "none", "font.size": 9})
    figure, panel = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    shown = {"upright": ("#777777", upright), "turned by 90°": ("#d1651f", uncertainty(90))}
    shown["turned by 30°"] = ("#0a6aa1", uncertainty(30))
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
    panel.annotate("digits turn", (CLEAN, 1e5), (-4, 0), textcoords="offset points", ha="right")
    panel.set(xlabel="rows served", ylabel="value of the test", yscale="log", xlim=(0, CLEAN + ROWS))
    panel.legend(loc="upper left")
    panel.grid(alpha=0.3)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
