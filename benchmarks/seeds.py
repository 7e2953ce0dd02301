"""How well `caveat train` does on its two bundled data sets, over ten seeds.

A seed decides which rows are held out as well as the weights. The figures are those that each bundle
states of itself: measured on held-out rows, through the graphs that are served.

Usage: python benchmarks/seeds.py [--json]
"""

import json
import sys
from statistics import mean

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
            print(f"{name:<9} {metric:<15} mean {mean(values):.4g}  {span}  ({listed})")


if __name__ == "__main__":
    main()
