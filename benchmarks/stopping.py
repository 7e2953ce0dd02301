"""What it costs to stop early: the bias of the variance of rows that stop at a tolerance.

Trains the networks of `kinds.py`. The stratified passes of many seeds are made once, and the rule of
`Cohort` is followed over them for several numbers of passes before the first look; with one seed the
program asks whether `estimate` stops at the same passes.

A figure outside the bounds that are known for it ends the program with exit code 1. Needs the training extra.
"""

import sys
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
from jackknife import Averages, Figure, jackknife, over_rows, plain, seeds_of, told
from kinds import KINDS, passes, trained
from numpy.typing import NDArray
from report import parser, write

from caveat.models.draws.strata import BLOCK
from caveat.models.estimates import cohort
from caveat.models.estimates.answer import estimate
from caveat.models.estimates.errors import stratified
from caveat.models.predictor import Predictor

FIRST_LOOKS = (25, 50, 75, 100)
MOST = 1000
TYPICAL = 150
"""Passes after which the median row meets the tolerance."""
PILOT = 2000


def main() -> int:
    """Measure, print a table, write JSON, and give the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("kinds", nargs="*", help="kinds of network (default: all)")
    arguments.add_argument("--seeds", type=int, default=120, help="seeds to average over (default: 120)")
    arguments.add_argument("--rows", type=int, default=24, help="rows to ask about (default: 24)")
    arguments.add_argument("--epochs", type=int, default=15, help="epochs of training (default: 15)")
    options = arguments.parse_args()
    figures, misses = {}, []
    columns = [*(f"bias, first look after {first}" for first in FIRST_LOOKS), "passes, on average"]
    print(f"| network | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for place, kind in enumerate(KINDS):
        if options.kinds and kind not in options.kinds:
            continue
        bundle, rows = trained(kind, options.rows, options.epochs)
        run = Run(Predictor(bundle, threads=1), rows, 2 * place)
        misses += [f"{kind}, {miss}" for miss in run.differences()]
        figures[kind] = costs(run.measure(options.seeds, 2 * place + 1))
        misses += [miss for first, of in figures[kind].items() for miss in outside(kind, first, of)]
        cells = [f"{of['variance_bias']:+.2%}" for of in figures[kind].values()]
        print(
            f"| {kind} | {' | '.join(cells)} | {figures[kind][FIRST_LOOKS[-1]]['passes']:.0f} |", flush=True
        )
    write("stopping", plain(figures))
    return told(misses)


class Run:
    """A network, rows, and their tolerance, which comes from passes of a seed of their own."""

    def __init__(self, predictor: Predictor, rows: Any, place: int) -> None:
        self._predictor = predictor
        self._rows = rows
        assert predictor.calibration
        assert predictor.calibration.facts.error_ratios
        self._known = predictor.calibration.facts.error_ratios
        self._seed = seeds_of(place, 1)[0]
        pilot = passes(predictor, rows, PILOT, self._seed, "independent")
        self._origin = pilot.mean(axis=0)
        errors = stratified(np.sqrt(pilot.var(axis=0, ddof=1) / TYPICAL), TYPICAL, self._known)
        self._tolerance = float(np.median(errors.max(axis=1)))

    def measure(self, seeds: int, place: int) -> dict[int, list[NDArray[np.float64]]]:
        """Measure by seed what `costs` needs; with the first look 0, the averages over all passes."""
        measured: dict[int, list[tuple[NDArray[np.float64], ...]]] = {
            first: [] for first in (0, *FIRST_LOOKS)
        }
        for seed in seeds_of(place, seeds):
            sums, squares = self._sums(seed)
            measured[0].append((sums[-1] / MOST, squares[-1] / MOST))
            for first in FIRST_LOOKS:
                measured[first].append(self._stopped(sums, squares, first))
        return {first: [np.stack(each) for each in zip(*of, strict=True)] for first, of in measured.items()}

    def differences(self) -> list[str]:
        """List the first looks for which rows do not stop as those of `estimate` do."""
        sums, squares = self._sums(self._seed)
        found = []
        for first in FIRST_LOOKS:
            with patch.object(cohort, "FIRST_LOOK", first):
                answer = estimate(
                    self._predictor, self._rows, MOST, self._seed, "stratified", self._tolerance
                )
            made, _, _, variance = self._stopped(sums, squares, first)
            name = "variance" if self._predictor.manifest.task == "classification" else "epistemic_variance"
            if not np.array_equal(answer["passes"], made[:, 0]) or not np.allclose(
                answer[name].reshape(variance.shape), variance, rtol=1e-4, atol=1e-9
            ):
                found.append(f"first look after {first}: rows do not stop as those of estimate() do")
        return found

    def _sums(self, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum passes and their squares up to the end of each block: shape (blocks, rows, outputs)."""
        made = passes(self._predictor, self._rows, MOST, seed, "stratified") - self._origin
        blocks = made.reshape(-1, BLOCK, *made.shape[1:])
        return blocks.sum(axis=1).cumsum(axis=0), (blocks**2).sum(axis=1).cumsum(axis=0)

    def _stopped(
        self, sums: NDArray[np.float64], squares: NDArray[np.float64], first: int
    ) -> tuple[NDArray[np.float64], ...]:
        """Give the number of passes of each row, (rows, 1); and their sum, sum of squares, and variance."""
        made = BLOCK * np.arange(1.0, len(sums) + 1)[:, None, None]
        variances = (squares - sums**2 / made) / (made - 1)
        errors = [
            stratified(error, int(count), self._known)
            for error, count in zip(np.sqrt(variances / made), made.ravel(), strict=True)
        ]
        enough = np.stack(errors).max(axis=2) <= self._tolerance
        enough[: first // BLOCK - 1] = False
        enough[-1] = True
        look, row = enough.argmax(axis=0), np.arange(enough.shape[1])
        return made[look, 0], sums[look, row], squares[look, row], variances[look, row]


def costs(measured: dict[int, list[NDArray[np.float64]]]) -> dict[int, dict[str, Figure]]:
    """Compute the figures for each first look."""
    return {
        first: {
            "passes": jackknife(partial(over_rows, outputs=True), measured[first][0]),
            "variance_bias": jackknife(bias, *measured[first], *measured[0]),
            "surplus": jackknife(surplus, *measured[first], *measured[0]),
        }
        for first in FIRST_LOOKS
    }


def around(made: Averages, total: Averages, squares: Averages, mean: Averages) -> Averages:
    """Give the squares of the distances to the mean up to the stop, divided by the expected number of passes.

    By Wald's equation their mean is the variance, whatever the rule. They are of the very passes that the
    answers are of, and so vary with these.
    """
    return over_rows((squares - 2 * mean * total + made * mean**2) / made, True)


def bias(
    made: Averages, total: Averages, squares: Averages, variance: Averages, mean: Averages, _: Averages
) -> Averages:
    """Give the bias of the variance of the answers, relative to the variance; see `around`."""
    return over_rows(variance, True) / around(made, total, squares, mean) - 1


def surplus(
    made: Averages, total: Averages, squares: Averages, _: Averages, mean: Averages, squared: Averages
) -> Averages:
    """Compare the variance that Wald's equation gives with that of all passes."""
    return around(made, total, squares, mean) / over_rows(squared - mean**2, True) - 1


def outside(kind: str, first: int, figures: dict[str, Figure]) -> list[str]:
    """List what is outside its bounds.

    Where a row stops if its variance is small, the variance of its answer is at most what it is without
    the tolerance: of N passes, 1 / (N - 1) too large.
    """
    cell = f"{kind}, first look after {first}"
    return [
        *figures["variance_bias"].misses(f"{cell}, bias of the variance", -1, 1 / (first - 1)),
        *figures["surplus"].misses(f"{cell}, Wald's equation", 0, 0),
        *figures["passes"].misses(f"{cell}, passes", first, MOST),
    ]


if __name__ == "__main__":
    sys.exit(main())
