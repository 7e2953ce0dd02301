"""The standard error that answers state beside the true error of the mean, and what a tolerance makes of it.

Trains the networks of `kinds.py`, which calibrates them, and asks about rows with many seeds. The true error
is how far the means scatter over the seeds. Stated and true errors are root mean squares over rows and
outputs. A bundle without its calibration states the error of independent passes.

A figure outside the bounds that are known for it ends the program with exit code 1. Needs the training extra.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from jackknife import Averages, Figure, jackknife, over_rows, plain, root, seeds_of, told
from kinds import KINDS, trained
from numpy.typing import NDArray
from report import parser, write

from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.calibrate import uncalibrated

COUNTS = (10, 25, 100)
TYPICAL = 400
"""Independent passes after which the median row meets the tolerance."""
MOST = 2000


def main() -> int:
    """Measure, print a table, write JSON, and give the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("kinds", nargs="*", help="kinds of network (default: all)")
    arguments.add_argument("--seeds", type=int, default=200, help="seeds to average over (default: 200)")
    arguments.add_argument("--rows", type=int, default=100, help="rows to ask about (default: 100)")
    arguments.add_argument("--epochs", type=int, default=15, help="epochs of training (default: 15)")
    options = arguments.parse_args()
    figures, misses = {}, []
    columns = [*(f"stated / true, N = {count}" for count in COUNTS), "without a calibration, N = 100"]
    columns += ["passes with a tolerance", "without a calibration"]
    print(f"| network | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for place, kind in enumerate(KINDS):
        if options.kinds and kind not in options.kinds:
            continue
        bundle, rows = trained(kind, options.rows, options.epochs)
        calibrated, bare = Predictor(bundle, threads=1), Predictor(uncalibrated(bundle), threads=1)
        seeds = seeds_of(place, options.seeds)
        of = {str(count): ratio(calibrated, rows, count, seeds) for count in COUNTS}
        of["bare"] = ratio(bare, rows, COUNTS[-1], seeds)
        tolerance = usual(bare, rows)
        few = seeds[: max(2, options.seeds // 10)]
        of["passes"], of["bare passes"] = (passes(each, rows, tolerance, few) for each in (calibrated, bare))
        figures[kind] = of
        for count in COUNTS:
            misses += of[str(count)].misses(f"{kind}, stated / true, N = {count}", 1, 2)
        cells = [f"{figure:.2f}" for figure in list(of.values())[:4]]
        cells += [f"{figure:.0f}" for figure in list(of.values())[4:]]
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)
    write("stated", plain(figures))
    return told(misses)


def ratio(predictor: Predictor, rows: Any, count: int, seeds: Sequence[int]) -> Figure:
    """Compare the stated standard error of N passes with the true one."""
    answers = [estimate(predictor, rows, count, seed) for seed in seeds]
    mean, error = (
        np.stack([_by_output(answer[name]) for answer in answers]) for name in ("mean", "standard_error")
    )
    return jackknife(stated, np.stack([mean, mean**2, error**2], axis=1))


def stated(of: Averages) -> Averages:
    """Give the ratio of averages over seeds of the mean, of its square, and of the squared standard error."""
    true = of[..., 1, :, :] - of[..., 0, :, :] ** 2
    return root(over_rows(of[..., 2, :, :], True) / over_rows(true, True))


def usual(predictor: Predictor, rows: Any) -> float:
    """Give the tolerance that the median row meets after `TYPICAL` independent passes."""
    answer = estimate(predictor, rows, TYPICAL, 0, "independent")
    return float(np.median(_by_output(answer["standard_error"]).max(axis=1)))


def passes(predictor: Predictor, rows: Any, tolerance: float, seeds: Sequence[int]) -> Figure:
    """Count the passes of the rows that need more than the first look, on average over all rows."""
    made = [
        estimate(predictor, rows, MOST, seed, tolerance=tolerance)["passes"].astype(np.float64)
        for seed in seeds
    ]
    return jackknife(lambda of: over_rows(of, True), np.stack(made)[:, :, None])


def _by_output(values: NDArray[Any]) -> NDArray[np.float64]:
    return values.reshape(len(values), -1).astype(np.float64)


if __name__ == "__main__":
    sys.exit(main())
