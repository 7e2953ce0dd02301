"""Abstention where less than half of the rows can be answered, beside MAPIE's control of the precision.

Of made rows, the surest 30 % are answered wrongly in 0.5 % of cases, the others in 30 %. Real rows are
MNIST's test digits, answered by networks that have seen 100 and 200 digits. Each is a population, from which
calibration rows are drawn with replacement, again and again, and on all of which each threshold is evaluated.
A promise is broken if the answers that are given are wrong more often than `max_error`; that may happen in
5 % of the calibrations.

MAPIE gets the same rows as a binary problem: how sure the label is, and whether it is right. Its precision
among the rows that are answered is controlled at the same confidence, by Bonferroni-Holm over its 100
thresholds, which is its default. How sure a label is says its probability, or else the part of all rows with
a higher predictive entropy, by which the service goes.

The bars: the service's promises are broken in at most 5 % of the calibrations plus 1.645 standard errors; and
at 5 and 10 % it refuses nothing, and answers at least three quarters of the rows that can be answered. Needs
the training extra.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from abstention import Outcome, most_failures, repeated
from mapie.risk_control import BinaryClassificationController
from numpy.typing import NDArray
from populations import hard, made

from caveat.models.answers.selection import CONFIDENCE
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Manifest

RESULTS = Path(__file__).parents[1] / "results" / "withheld.json"
ROWS = 4_000
RATES = (0.02, 0.05, 0.1)
SURE, WRONG = 0.3, (0.005, 0.3)
"""The part of the made rows that is sure, and how often these and the others are answered wrongly."""

MADE = 100_000
MEASURES = {"MAPIE": "probability", "MAPIE, by entropy": "entropy"}
"""By what MAPIE goes."""

USUAL = (0.05, 0.1)
"""Rates at which enough rows must be answered."""

LEAST = 0.75
TRAINED = (100, 200)


@dataclass(frozen=True)
class Answered:
    """Answered rows.

    Parameters
    ----------
    manifest
        Manifest of the model.
    y, answers
        Truths and answers.
    sure
        How sure each label is, from 0 to 1, by several measures.
    """

    manifest: Manifest
    y: NDArray[np.int64]
    answers: Columns
    sure: Mapping[str, NDArray[np.float64]]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each answer is wrong."""
        flags: NDArray[np.bool_] = self.answers["label"] != self.y
        return flags


def main() -> int:
    """Measure, print a table, and write it as JSON; 1 if a bar was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with mnist.npz")
    parser.add_argument("--repeats", type=int, default=200, help="calibrations (default: 200)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = {f"MNIST, {trained}": network(options.data, trained) for trained in TRAINED}
    rows["made"] = stepped(rows[f"MNIST, {TRAINED[0]}"].manifest)
    found: dict[str, list[Outcome]] = {}
    shares = []
    print(f"{'':12}{'max_error':>10}{'':26}{'broken':>9}{'refused':>9}{'answered':>16}{'at best':>9}")
    for name, of in rows.items():
        for rate in RATES:
            for method, outcome in measured(of, rate, options.repeats).items():
                found.setdefault(method, []).append(outcome)
                print(line(name, method, outcome, best(of, rate)), flush=True)
            if rate in USUAL:
                shares.append(float(np.mean(found["Caveat"][-1].answered)) / best(of, rate))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({method: [asdict(each) for each in of] for method, of in found.items()}))
    return int(missed(found["Caveat"], min(shares)))


def network(folder: Path, trained: int) -> Answered:
    """Answer MNIST's test digits with a network that has seen few."""
    real = hard(folder, trained)
    mean, entropy = (real.answers[name].astype(np.float64) for name in ("mean", "predictive_entropy"))
    sure = {"probability": mean.max(axis=1), "entropy": 1 - entropy.argsort().argsort() / len(entropy)}
    return Answered(real.manifest, real.y, real.answers, sure)


def stepped(manifest: Manifest) -> Answered:
    """Make rows whose uncertainty is uniform on [0, 1), and that are wrong as `WRONG` says."""
    population = made("made", np.eye(10, dtype=np.float32), manifest, MADE)
    uncertainty = population.answers["predictive_entropy"]
    wrong = np.random.default_rng(1).random(MADE) < np.where(uncertainty < SURE, *WRONG)
    label = population.answers["label"]
    return Answered(
        population.manifest,
        (label + wrong) % 10,
        population.answers,
        dict.fromkeys(("probability", "entropy"), 1 - uncertainty),
    )


def measured(of: Answered, rate: float, repeats: int) -> Mapping[str, Outcome]:
    """Calibrate again and again with every method."""
    own = repeated(of.manifest, of.y, of.answers, ROWS, rate, repeats)
    return {"Caveat": own, **{method: controlled(of, rate, repeats, method) for method in MEASURES}}


def controlled(of: Answered, rate: float, repeats: int, method: str) -> Outcome:
    """Calibrate MAPIE on newly drawn rows each time, the same as the service, and evaluate its thresholds."""
    sure = of.sure[MEASURES[method]]
    errors: list[float | None] = []
    answered = []
    for seed in range(repeats):
        drawn = np.random.default_rng(seed).integers(0, len(of.y), size=ROWS)
        controller = BinaryClassificationController(
            lambda rows: np.stack([1 - rows, rows], axis=1),
            "precision",
            1 - rate,
            confidence_level=CONFIDENCE,
        )
        with warnings.catch_warnings(action="ignore"):  # no threshold passes
            controller.calibrate(sure[drawn], (~of.wrong[drawn]).astype(int))
        limit = controller.best_predict_param
        given = sure >= (np.inf if limit is None else limit)
        errors.append(float(of.wrong[given].mean()) if given.any() else None)
        answered.append(float(given.mean()))
    return Outcome(ROWS, rate, errors, answered)


def best(of: Answered, rate: float) -> float:
    """Give the largest fraction of rows that can be answered at the rate, by uncertainty."""
    wrong = of.wrong[np.argsort(of.answers["predictive_entropy"], kind="stable")]
    counts = np.arange(1, len(wrong) + 1)
    kept = np.flatnonzero(wrong.cumsum() <= rate * counts)
    return float(counts[kept[-1]] / len(wrong)) if len(kept) else 0.0


def line(name: str, method: str, outcome: Outcome, most: float) -> str:
    """Write an outcome as a line: fractions of calibrations, and the mean fraction of rows answered."""
    error = np.std(outcome.answered, ddof=1) / np.sqrt(len(outcome.answered))
    return (
        f"{name:12}{outcome.max_error:>10.0%}  {method:24}{outcome.failed:>9.1%}{outcome.refused:>9.1%}"
        f"{np.mean(outcome.answered):>9.2%} ±{error:.2%}{most:>9.1%}"
    )


def missed(outcomes: list[Outcome], share: float) -> bool:
    """Compare the service's outcomes with the bars, and print which are missed.

    Parameters
    ----------
    outcomes
        Those of the service.
    share
        The least part of the rows that can be answered which it answered at the usual rates.
    """
    broken = max(each.failed for each in outcomes)
    refused = max(each.refused for each in outcomes if each.max_error in USUAL)
    most = most_failures(len(outcomes[0].errors))
    bars = {
        f"at worst {broken:.1%} of the promises broken; at most {most:.1%} allowed": broken <= most,
        f"at 5 and 10 %, {refused:.1%} refused; none allowed": refused == 0,
        f"there {share:.1%} of what can be answered; at least {LEAST:.0%}": share >= LEAST,
    }
    for bar, met in bars.items():
        print(f"{'met' if met else 'MISSED'}: {bar}")
    return not all(bars.values())


if __name__ == "__main__":
    sys.exit(main())
