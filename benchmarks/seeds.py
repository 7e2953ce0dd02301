"""The quality of `caveat train` on its two bundled data sets, over ten seeds.

A seed decides both the weights and which rows are held out. The figures are the metrics in each bundle,
measured on held-out rows with the exported graphs; the standard error is that of the mean over the seeds.

Usage: python benchmarks/seeds.py [--json]
"""

import json
import sys
from statistics import mean, stdev

import torch

from caveat.training.data.bundled import BUNDLED
from caveat.training.options import Options
from caveat.training.train import train

SHOWN = {"digits": ("accuracy", "error_auroc"), "diabetes": ("rmse", "log_likelihood")}
SEEDS = range(10)


def main() -> None:
    """Train, and print a table."""
    torch.set_num_threads(1)
    results = {
        name: [train(BUNDLED[name](), Options(seed=seed)).manifest.metrics for seed in SEEDS]
        for name in SHOWN
    }
    if "--json" in sys.argv[1:]:
        print(json.dumps(results))
        return
    for name, metrics in SHOWN.items():
        for metric in metrics:
            values = [result[metric] for result in results[name]]
            listed = " ".join(f"{value:.4g}" for value in values)
            span = f"{min(values):.4g} to {max(values):.4g}"
            error = stdev(values) / len(values) ** 0.5
            print(f"{name:<9} {metric:<15} mean {mean(values):.4g} ± {error:.2g}  {span}  ({listed})")


if __name__ == "__main__":
    main()
