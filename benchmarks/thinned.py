"""The speed of passes with masks multiplied into the weights, against passes with masks as inputs.

Networks with one hidden layer and dropout before the last layer, 100 passes of the service's own seed, one
thread. Needs the training extra.
"""

import statistics
import time
from typing import Any

import numpy as np
import torch
from report import parser, write
from torch import nn

from caveat.models.predictor import Predictor
from caveat.training.export.export import export

SAMPLES = 100
NETWORKS = ((64, 2), (128, 10), (512, 10), (2048, 10), (1024, 12))
ROWS = (1, 4, 16, 256)
FEATURES = 16


def main() -> None:
    """Measure all networks and numbers of rows, and print how much faster the thinned passes are."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=50, help="times to measure, in turn (default: 50)")
    options = arguments.parse_args()
    figures: list[dict[str, Any]] = []
    print(f"{SAMPLES} passes, ms, medians")
    print(f"{'units':>6}{'classes':>8}{'rows':>6}{'with masks':>12}{'thinned':>9}{'times':>7}")
    for units, classes in NETWORKS:
        ways = predictors(units, classes)
        for rows in ROWS:
            medians = measure(ways, rows, options.rounds)
            figures.append({"units": units, "classes": classes, "rows": rows, **medians})
            masked, thin = medians["masks"], medians["thinned"]
            print(
                f"{units:>6}{classes:>8}{rows:>6}{masked:>12.3f}{thin:>9.3f}{masked / thin:>7.1f}", flush=True
            )
    write("thinned", figures)


def predictors(units: int, classes: int) -> dict[str, Predictor]:
    """Make a network, and both ways to run it."""
    torch.manual_seed(0)
    layers = (nn.Linear(FEATURES, units), nn.ReLU(), nn.Dropout(0.3), nn.Linear(units, classes))
    example = torch.rand(2, FEATURES)
    bundle = export(nn.Sequential(*layers), example, task="classification", outputs="logits", name="net")
    ways = {name: Predictor(bundle, threads=1, kept_seed=0) for name in ("masks", "thinned")}
    ways["thinned"].thin(bundle, {"x": example.numpy()})
    return ways


def measure(ways: dict[str, Predictor], rows: int, rounds: int) -> dict[str, float]:
    """Time the passes over some rows, both ways in turn; milliseconds."""
    inputs = {"x": np.random.default_rng(0).random((rows, FEATURES), np.float32)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, predictor in ways.items():
            start = time.perf_counter()
            predictor.some_passes(inputs, 0, "stratified", 0, SAMPLES)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in times.items()}


if __name__ == "__main__":
    main()
