"""The bias of the mutual information of 100 passes, before and after the correction of its entropy.

Trains a classifier of every kind, as `sampling.py` does. The mutual information of many independent passes
counts as the truth; the answers of many seeds are compared with it, over the half of the rows with the
higher mutual information. Needs the training extra and matplotlib.
"""

import argparse
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sampling import HERE, KINDS, SAMPLERS, passes, trained

from caveat.models.answers.uncertainty import entropy
from caveat.models.predictor import Predictor
from caveat.models.tasks.classification import ClassificationSummary

SAMPLES = 100


def main() -> None:
    """Measure, print a table, and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", help="kinds of network (default: all)")
    parser.add_argument("--seeds", type=int, default=60, help="seeds to average over (default: 60)")
    parser.add_argument("--rows", type=int, default=60, help="rows to ask about (default: 60)")
    parser.add_argument("--truth", type=int, default=10_000, help="passes of the truth (default: 10000)")
    parser.add_argument("--epochs", type=int, default=25, help="epochs of training (default: 25)")
    options = parser.parse_args()
    kinds = options.kinds or [kind for kind in KINDS if "regression" not in kind]
    figures = {}
    print(f"bias of the mutual information of {SAMPLES} passes, and root mean square error of one answer")
    print(f"{'network':16}{'sampler':14}{'as it is':>10}{'corrected':>12}{'+-':>8}{'error':>10}")
    for kind in kinds:
        bundle, rows = trained(kind, options.rows, options.epochs)
        predictor = Predictor(bundle)
        truth = plain(passes(predictor, rows, options.truth, 10**6, "independent"))
        figures[kind] = {
            sampler: biases(predictor, rows, truth, options.seeds, sampler) for sampler in SAMPLERS
        }
        for sampler, of in figures[kind].items():
            print(
                f"{kind:16}{sampler:14}{of['plain']:>+10.1%}{of['corrected']:>+12.1%}"
                f"{of['standard_error']:>8.1%}{of['error']:>10.0%}",
                flush=True,
            )
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "entropies.json").write_text(json.dumps(figures, indent=1) + "\n")


def plain(made: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the uncorrected mutual information of passes (N, B, C), shape (B,)."""
    information: NDArray[np.float64] = entropy(made.mean(axis=0)) - entropy(made).mean(axis=0)
    return information


def corrected(made: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the mutual information of passes (N, B, C) as the service does, shape (B,)."""
    summary = ClassificationSummary()
    summary.add(made)
    return summary.columns()["mutual_information"]


def biases(
    predictor: Predictor, rows: Any, truth: NDArray[np.float64], seeds: int, sampler: str
) -> dict[str, float]:
    """Compare the answers of many seeds with the truth; all figures are relative to the truth's mean."""
    uncertain = truth > np.median(truth)
    made = [passes(predictor, rows, SAMPLES, seed, sampler) for seed in range(seeds)]
    errors = {
        name: np.array([(take(each) - truth)[uncertain] for each in made]) / truth[uncertain].mean()
        for name, take in (("plain", plain), ("corrected", corrected))
    }
    by_seed = errors["corrected"].mean(axis=1)
    return {
        **{name: float(of.mean()) for name, of in errors.items()},
        "standard_error": float(by_seed.std(ddof=1) / np.sqrt(seeds)),
        "error": float(np.sqrt((errors["corrected"] ** 2).mean())),
    }


if __name__ == "__main__":
    main()
