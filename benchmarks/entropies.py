"""The bias of the mutual information of 100 passes, before and after the correction of its entropy.

Trains the classifiers of `kinds.py`. The mean of the passes of all seeds counts as the truth. The expected
entropy of the passes has no bias, so the bias is that of the entropy of their mean. Figures are over the half
of the rows that has more mutual information.

A figure outside the bounds that are known for it ends the program with exit code 1. Needs the training extra.
"""

import sys
from typing import Any

import numpy as np
from jackknife import Averages, Figure, jackknife, over_rows, plain, root, seeds_of, told
from kinds import KINDS, passes, trained
from numpy.typing import NDArray
from report import parser, write

from caveat.models.answers.uncertainty import entropy
from caveat.models.draws.masks import Sampler
from caveat.models.predictor import Predictor
from caveat.models.tasks.classification import ClassificationSummary

SAMPLES = 100
PILOT = 2000
SAMPLERS: tuple[Sampler, Sampler] = ("independent", "stratified")
COLUMNS: tuple[tuple[str, Sampler], ...] = (
    ("plain", "independent"),
    ("corrected", "independent"),
    ("plain", "stratified"),
    ("corrected", "stratified"),
    ("predictive", "stratified"),
    ("error", "stratified"),
)


def main() -> int:
    """Measure, print a table, write JSON, and give the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("kinds", nargs="*", help="kinds of network (default: all)")
    arguments.add_argument("--seeds", type=int, default=400, help="seeds for each sampler (default: 400)")
    arguments.add_argument("--rows", type=int, default=40, help="rows to ask about (default: 40)")
    arguments.add_argument("--epochs", type=int, default=15, help="epochs of training (default: 15)")
    options = arguments.parse_args()
    figures, misses = {}, []
    print("| network |" + "".join(f" {name}, {sampler} |" for name, sampler in COLUMNS))
    print("|---" * (1 + len(COLUMNS)) + "|")
    for number, kind in enumerate(KINDS):
        if "regression" in kind or (options.kinds and kind not in options.kinds):
            continue
        bundle, rows = trained(kind, options.rows, options.epochs)
        predictor = Predictor(bundle, threads=1)
        chosen = uncertain(predictor, rows, 3 * number)
        measured = {
            sampler: measure(predictor, chosen, options.seeds, 3 * number + place, sampler)
            for place, sampler in enumerate(SAMPLERS, 1)
        }
        figures[kind] = {sampler: accuracy(of) for sampler, of in measured.items()}
        misses += outside(kind, measured, figures[kind])
        cells = [
            f"{figures[kind][sampler][name]:{'.1%' if name == 'error' else '+.2%'}}"
            for name, sampler in COLUMNS
        ]
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)
    write("entropies", plain(figures))
    return told(misses)


def uncertain(predictor: Predictor, rows: dict[str, Any], place: int) -> dict[str, Any]:
    """Choose the half of the rows that has more mutual information, with passes that nothing else takes."""
    pilot = passes(predictor, rows, PILOT, seeds_of(place, 1)[0], "independent")
    information = entropy(pilot.mean(axis=0)) - entropy(pilot).mean(axis=0)
    return {name: array[information > np.median(information)] for name, array in rows.items()}


def measure(
    predictor: Predictor, rows: Any, seeds: int, place: int, sampler: Sampler
) -> dict[str, NDArray[np.float64]]:
    """Measure by seed: shape (seeds, rows, classes), or (seeds, rows) from the expected entropy on."""
    measured = []
    for seed in seeds_of(place, seeds):
        made = passes(predictor, rows, SAMPLES, seed, sampler)
        summary = ClassificationSummary()
        summary.add(made)
        columns = summary.columns()
        mean, answer = made.mean(axis=0), columns["mutual_information"].astype(np.float64)
        measured.append(
            {
                "mean": mean,
                "mean_squared": mean**2,
                "expected": entropy(made).mean(axis=0),
                "plain": entropy(mean),
                "predictive": columns["predictive_entropy"].astype(np.float64),
                "answer": answer,
                "answer_squared": answer**2,
            }
        )
    return {name: np.stack([of[name] for of in measured]) for name in measured[0]}


def accuracy(measured: dict[str, NDArray[np.float64]]) -> dict[str, Figure]:
    """Compute the figures of a sampler; all but ``predictive`` are relative to the mutual information."""

    def figure(compute: Any, *names: str) -> Figure:
        return jackknife(compute, measured["mean"], measured["expected"], *(measured[name] for name in names))

    return {
        "plain": figure(plain_bias, "plain"),
        "corrected": figure(corrected_bias, "answer"),
        "predictive": jackknife(predictive_bias, measured["mean"], measured["predictive"]),
        "error": figure(error, "answer", "answer_squared"),
        "above_least": figure(above_least, "plain", "mean_squared"),
    }


def true_information(mean: Averages, expected: Averages) -> Averages:
    """Give the mutual information of infinitely many passes, by row."""
    information: Averages = entropy(mean) - expected
    return information


def plain_bias(mean: Averages, expected: Averages, plain: Averages) -> Averages:
    """Give the bias without the correction."""
    return over_rows(plain - entropy(mean)) / over_rows(true_information(mean, expected))


def corrected_bias(mean: Averages, expected: Averages, answer: Averages) -> Averages:
    """Give the bias of the answers."""
    truth = true_information(mean, expected)
    return over_rows(answer - truth) / over_rows(truth)


def predictive_bias(mean: Averages, predictive: Averages) -> Averages:
    """Give the bias of the answers' predictive entropy, relative to it."""
    truth: Averages = entropy(mean)
    return over_rows(predictive - truth) / over_rows(truth)


def error(mean: Averages, expected: Averages, answer: Averages, squared: Averages) -> Averages:
    """Give the root mean square error of an answer."""
    truth = true_information(mean, expected)
    return root(over_rows(squared - 2 * truth * answer + truth**2)) / over_rows(truth)


def above_least(mean: Averages, expected: Averages, plain: Averages, squared: Averages) -> Averages:
    """Give how far the bias without the correction is above the least possible; see `outside`."""
    variance = squared - mean**2
    least = -over_rows((variance / np.maximum(mean, 1e-300)).sum(axis=-1))
    return plain_bias(mean, expected, plain) - least / over_rows(true_information(mean, expected))


def outside(
    kind: str,
    measured: dict[Sampler, dict[str, NDArray[np.float64]]],
    figures: dict[Sampler, dict[str, Figure]],
) -> list[str]:
    """List what is outside its bounds.

    Without the correction, the entropy of the mean m is never too large on average, since entropy is concave.
    With the true mean p it is too small by the mean of KL(m, p), and so by sum(Var(m) / p) at most, since no
    divergence is above that of chi squared. Both samplers have the same mutual information in the limit.
    """
    misses = []
    for sampler, of in figures.items():
        misses += of["plain"].misses(f"{kind}, {sampler}, bias without the correction", -1, 0)
        misses += of["above_least"].misses(f"{kind}, {sampler}, bias above its least", 0, np.inf)
    names = [measured[sampler][name] for sampler in SAMPLERS for name in ("mean", "expected")]
    return misses + jackknife(ratio, *names).misses(f"{kind}, information of both samplers, ratio", 1, 1)


def ratio(mean: Averages, expected: Averages, other_mean: Averages, other_expected: Averages) -> Averages:
    """Compare the mutual informations of two samplers."""
    one, other = true_information(mean, expected), true_information(other_mean, other_expected)
    return over_rows(one) / over_rows(other)


if __name__ == "__main__":
    sys.exit(main())
