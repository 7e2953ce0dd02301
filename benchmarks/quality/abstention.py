"""The error rate of answers that a calibration does not withhold, and how many answers these are.

Five networks are trained by the recipe of `caveat train digits`, each on four fifths of the digits, and
answer the remaining fifth, so that every digit has one answer by a network that was trained without it.
These answers are the population. Two hundred times, calibration rows are drawn from the population with
replacement, and the service's own code sets a threshold. The error of the threshold is then known exactly,
from the whole population. The guarantee fails if that error is above `max_error`. If the calibration rows
can't support the rate, the service refuses it, and answers nothing.

The bars, at a `max_error` of 1 %: for every number of rows, failures in at most 5 % of the calibrations plus
1.645 standard errors; and on average 80 % of the rows answered, for calibrations with as many rows as the
set has. Needs the training extra.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from caveat.models.answers.selection import CONFIDENCE
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest
from caveat.models.errors import InputError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import tasks
from caveat.models.tasks.task import TRUTH
from caveat.training.data.bundled import digits
from caveat.training.data.dataset import Dataset
from caveat.training.options import Options
from caveat.training.train import train

RESULTS = Path(__file__).parents[1] / "results" / "abstention.json"
FOLDS = 5
ROWS = (359, 720, 1000, 1797)
"""Numbers of calibration rows: that held out by `caveat train`, and more, up to the size of the set."""
RATES = (0.005, 0.01, 0.015, 0.02)
PROMISED = 0.01
ANSWERED = 0.8


@dataclass(frozen=True)
class Outcome:
    """The result of repeated calibrations on one number of rows, at one rate.

    Parameters
    ----------
    rows, max_error
        Number of calibration rows, and the asked rate.
    errors
        Error rate of each calibration among the rows of the population that it answers; None if the rate was
        refused.
    answered
        Fraction of the population that each calibration answers; 0 if the rate was refused.
    """

    rows: int
    max_error: float
    errors: Sequence[float | None]
    answered: Sequence[float]

    @property
    def failed(self) -> float:
        """The fraction of calibrations whose guarantee fails."""
        return float(np.mean([error is not None and error > self.max_error for error in self.errors]))

    @property
    def refused(self) -> float:
        """The fraction of calibrations with which the service refuses the rate."""
        return float(np.mean([error is None for error in self.errors]))


def main() -> int:
    """Measure, print a table, and write it as JSON; 1 if a bar was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=200, help="calibrations (default: 200)")
    parser.add_argument("--samples", type=int, default=100, help="passes (default: 100)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    manifest, y, answers = population(digits(), options.samples)
    wrong = answers["label"] != y
    print(f"{len(y):,} digits, {wrong.mean():.2%} answered wrongly\n\n{HEAD}")
    outcomes = []
    for rate in RATES:
        for rows in ROWS:
            outcomes.append(repeated(manifest, y, answers, rows, rate, options.repeats))
            print(line(outcomes[-1]), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(outcome) for outcome in outcomes]) + "\n")
    return int(missed(outcomes))


def population(dataset: Dataset, samples: int) -> tuple[Manifest, NDArray[np.int64], Columns]:
    """Answer every row with a network that was trained without it; give a manifest, truths and answers."""
    folds = np.array_split(np.random.default_rng(0).permutation(len(dataset.y)), FOLDS)
    answers = []
    for seed, fold in enumerate(folds):
        rows = np.setdiff1d(np.arange(len(dataset.y)), fold)
        part = replace(dataset, x=dataset.x[rows], y=dataset.y[rows])
        bundle = train(part, Options(seed=seed))
        predictor = Predictor(bundle, threads=1)
        answers.append(estimate(predictor, {dataset.input.name: dataset.x[fold]}, samples, seed=0))
    columns = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
    return bundle.manifest, dataset.y[np.concatenate(folds)], columns


def repeated(
    manifest: Manifest, y: NDArray[np.int64], answers: Columns, rows: int, rate: float, repeats: int
) -> Outcome:
    """Calibrate on newly drawn rows each time, and evaluate the threshold on the whole population."""
    wrong = answers["label"] != y
    errors: list[float | None] = []
    answered = []
    for seed in range(repeats):
        drawn = np.random.default_rng(seed).integers(0, len(y), size=rows)
        arrays = {TRUTH: y[drawn], **{name: column[drawn] for name, column in answers.items()}}
        try:
            given = ~tasks.of(manifest).calibration(arrays).abstain(answers, rate, None)
        except InputError:  # the rate is refused
            given = np.zeros(len(y), bool)
        errors.append(float(wrong[given].mean()) if given.any() else None)
        answered.append(float(given.mean()))
    return Outcome(rows, rate, errors, answered)


HEAD = "".join(
    f"{word:>12}"
    for word in ("max_error", "rows", "failed", "refused", "answered", "if accepted", "5 % below")
)


def line(outcome: Outcome) -> str:
    """Write an outcome as a line: fractions of calibrations, and of rows answered.

    The rows answered are given as the mean over all calibrations, the mean over those that were not refused,
    and the 5 % quantile of all calibrations.
    """
    shares = np.array(outcome.answered)
    figures = (outcome.failed, outcome.refused, shares.mean())
    rest = f"{shares[shares > 0].mean():.1%}" if shares.any() else "none"
    return (
        f"{outcome.max_error:>12.1%}{outcome.rows:>12,}"
        + "".join(f"{figure:>12.1%}" for figure in figures)
        + f"{rest:>12}{np.quantile(shares, 0.05):>12.1%}"
    )


def most_failures(repeats: int) -> float:
    """Give the highest fraction of failures at which a guarantee may still hold.

    >>> round(most_failures(200), 4)
    0.0754
    """
    promised = 1 - CONFIDENCE
    return promised + 1.645 * math.sqrt(promised * (1 - promised) / repeats)


def missed(outcomes: Sequence[Outcome]) -> bool:
    """Compare the outcomes at 1 % with the bars, and print which are missed."""
    promised = [outcome for outcome in outcomes if outcome.max_error == PROMISED]
    worst = max(outcome.failed for outcome in promised)
    most = most_failures(len(promised[0].errors))
    answered = float(np.mean(max(promised, key=lambda outcome: outcome.rows).answered))
    bars = {
        f"at 1 %, at worst {worst:.1%} of the calibrations fail; at most {most:.1%} allowed": worst <= most,
        f"at 1 %, {answered:.1%} of the rows answered; at least {ANSWERED:.0%}": answered >= ANSWERED,
    }
    print()
    for bar, met in bars.items():
        print(f"{'met' if met else 'MISSED'}: {bar}")
    return not all(bars.values())


if __name__ == "__main__":
    sys.exit(main())
