"""Prediction sets beside those of MAPIE and crepes, from the same probabilities.

Networks answer digits that they were not trained on: scikit-learn's, MNIST's, and MNIST's with very many or
very few rows of a class. Other rows have probabilities that are rounded to one digit, or that are 1 and 0 in
float32. Each population is divided at random, again and again, into calibration rows and fresh rows. On each
division the service's own code calibrates, and makes sets for the fresh rows; MAPIE and crepes get the
probabilities that it states.

Sizes and shares have standard errors over the divisions. The number of truths held is at least beta-binomial
(see `law.py`), given the population, and so independent for each division. Needs the training extra.

The bars: no set of the service is empty; its sets of kind lac are those of MAPIE with the label and classes
that are as probable; and the coverage is at most 4 exact standard errors below the law's, over all rows, and
over those of each class where it is promised by class.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from law import Count, coverage
from numpy.typing import NDArray
from populations import Population, Rows, populations
from rivals import RIVALS, Held, Labels

from caveat.models.answers.conformal import Sets
from caveat.models.errors import InputError
from caveat.models.tasks.decisions import Decisions

RESULTS = Path(__file__).parents[1] / "results" / "sets.json"
COVERAGE: Final = 0.9
OWN: Mapping[str, tuple[Sets, bool]] = {
    "lac": ("lac", False),
    "aps": ("aps", False),
    "raps": ("raps", False),
    "lac, by class": ("lac", True),
    "aps, by class": ("aps", True),
}
"""The service's sets: their kind, and whether the rate holds in every class."""


@dataclass
class Found:
    """What a method's sets hold, over divisions.

    Parameters
    ----------
    sizes, empty
        Mean size of the sets of each division, and the fraction of them that are empty.
    counts, of_class
        Truths held in each division; and of each class, by its number.
    failed
        Number of divisions whose calibration rows the method refuses.
    """

    sizes: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    of_class: dict[int, list[Count]] = field(default_factory=dict)
    failed: int = 0

    def add(self, held: Held, known: Labels, y: Labels) -> None:
        """Add the sets of fresh rows with truths ``y``, made from calibration rows with truths ``known``."""
        self.sizes.append(float(held.sum(axis=1).mean()))
        self.empty.append(float((~held.any(axis=1)).mean()))
        right = held[np.arange(len(y)), y]
        self.counts.append(count(right, len(known)))
        for code in np.unique(y).tolist():
            rows = int((known == code).sum())
            self.of_class.setdefault(code, []).append(count(right[y == code], rows))


def count(right: NDArray[np.bool_], known: int) -> Count:
    """Count the truths held; so few calibration rows that they do not support the rate count as enough."""
    return Count("sets", 0, known, len(right), {COVERAGE: int(right.sum())}, at_least=True)


def main() -> int:
    """Measure, print tables, write them as JSON; 1 if a bar was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with mnist.npz")
    parser.add_argument("--divisions", type=int, default=100, help="divisions (default: 100)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.parent.mkdir(exist_ok=True)
    results, failures = {}, []
    for population in populations(options.data):
        found, differing = measure(population, options.divisions)
        print(table(population, found), flush=True)
        failures += [f"{population.name}: {each}" for each in missed(found, differing)]
        results[population.name] = {method: asdict(of) for method, of in found.items()}
        RESULTS.write_text(json.dumps(results) + "\n")
    print("\n".join(f"MISSED: {each}" for each in failures) or "met: all bars")
    return int(bool(failures))


def measure(population: Population, divisions: int) -> tuple[dict[str, Found], int]:
    """Make the sets of every method; tell also how many of our lac are not MAPIE's with the label."""
    found = {method: Found() for method in (*OWN, *RIVALS)}
    differing = 0
    for seed in range(divisions):
        rows, others = population.division(seed)
        known, y = population.y[rows], population.y[others]
        held = {**own(population, rows, others), **rivals(population, rows, others)}
        for method, of in found.items():
            if method in held:
                of.add(held[method], known, y)
            else:
                of.failed += 1
        (stated,) = probabilities(population, rows, others)
        theirs = held["MAPIE lac"] | (stated == stated.max(axis=1, keepdims=True))
        differing += int((held["lac"] != theirs).any(axis=1).sum())
    return found, differing


def own(population: Population, rows: Rows, others: Rows) -> dict[str, Held]:
    """Make the service's sets, of those kinds that it does not refuse."""
    temperature, columns = population.temperature(rows), population.of(others)
    held = {}
    for method, (kind, by_class) in OWN.items():
        calibration = population.calibrated(rows, temperature, kind, by_class)
        with contextlib.suppress(InputError):
            calibration.check(Decisions(COVERAGE))
            held[method] = calibration.region({**columns, **calibration.columns(columns)}, COVERAGE)
    return held


def rivals(population: Population, rows: Rows, others: Rows) -> dict[str, Held]:
    """Make the sets of the other libraries, of those methods that can be calibrated."""
    known, fresh = probabilities(population, rows, rows, others)
    held = {}
    for method, sets in RIVALS.items():
        with contextlib.suppress(ValueError):
            held[method] = sets(known, population.y[rows], fresh, COVERAGE)
    return held


def probabilities(population: Population, rows: Rows, *parts: Rows) -> list[NDArray[np.float64]]:
    """Give the probabilities of parts of a population that the service states, calibrated on some rows."""
    calibration = population.calibrated(rows, population.temperature(rows))
    stated = []
    for part in parts:
        found = calibration.columns(population.of(part))["probabilities"].astype(np.float64)
        stated.append(found / found.sum(axis=1, keepdims=True))
    return stated


def table(population: Population, found: Mapping[str, Found]) -> str:
    """Write what every method holds as a line: size, empty sets, coverage, and that of each class."""
    rows, others = population.division(0)
    known = np.bincount(population.y[rows]).tolist()
    lines = [
        f"{population.name}: {len(rows):,} + {len(others):,} rows, by class {', '.join(map(str, known))}",
        f"  {'':24}{'size':>16}{'empty, %':>12}{'held, %':>16}   by class, %",
    ]
    for method, of in found.items():
        if not of.counts:
            lines.append(f"  {method:24}{'refused':>16}")
            continue
        share, _, error = coverage(of.counts, COVERAGE)
        each = " ".join(f"{100 * held(of.of_class[code]):.1f}" for code in sorted(of.of_class))
        refused = f"   (refused in {of.failed} divisions)" if of.failed else ""
        lines.append(
            f"  {method:24}{np.mean(of.sizes):>9.3f} ±{standard_error(of.sizes):.3f}"
            f"{100 * np.mean(of.empty):>12.2f}{100 * share:>9.2f} ±{100 * error:.2f}   {each}{refused}"
        )
    return "\n".join([*lines, ""])


def held(counts: Sequence[Count]) -> float:
    """Give the fraction of truths held."""
    return sum(each.held[COVERAGE] for each in counts) / sum(each.fresh for each in counts)


def standard_error(values: Sequence[float]) -> float:
    """Give the standard error of the mean; 0 of a single value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def missed(found: Mapping[str, Found], differing: int) -> list[str]:
    """Name the bars that the service's sets miss."""
    failures = [f"{differing} sets of lac are not MAPIE's with the label"] if differing else []
    for method, (_, by_class) in OWN.items():
        of = found[method]
        if any(of.empty):
            failures.append(f"{method} has empty sets")
        groups = {
            "all rows": of.counts,
            **({f"class {c}": of.of_class[c] for c in of.of_class} if by_class else {}),
        }
        failures += [f"{method}, {name}: too few held" for name, counts in groups.items() if below(counts)]
    return failures


def below(counts: Sequence[Count]) -> bool:
    """Tell whether fewer truths are held than by the law, by more than 4 standard errors.

    Where calibration rows are too few for the rate, every truth must be held.
    """
    enough = [each for each in counts if (each.calibration + 1) * COVERAGE <= each.calibration + 1e-9]
    if any(each.held[COVERAGE] < each.fresh for each in counts if each not in enough):
        return True
    if not enough:
        return False
    share, expected, error = coverage(enough, COVERAGE)
    return share < expected - 4 * error


if __name__ == "__main__":
    sys.exit(main())
