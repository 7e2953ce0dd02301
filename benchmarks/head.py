"""The cost of 100 passes relative to one deterministic pass, for networks with dropout only in their head.

The layers before the dropout run once, so the passes should cost little more: the bar is 1.3 times the
deterministic pass of the same rows. Needs the ``training`` extra.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from networks import resnet, settle
from report import parser, write
from torch import nn

from caveat.models.predictor import Predictor
from caveat.training.export.export import export

BAR = 1.3
SIZE = 224


def vgg() -> nn.Module:
    """Make a VGG-11, whose head of three wide layers with two dropouts is most of its weights."""
    layers: list[nn.Module] = []
    width = 3
    for step in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if isinstance(step, int):
            layers += [nn.Conv2d(width, step, 3, padding=1), nn.ReLU()]
            width = step
        else:
            layers.append(nn.MaxPool2d(2))
    head = [nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *head, nn.Dropout(), nn.Linear(4096, 1000))


def measure(predictor: Predictor, rows: int, rounds: int, samples: int = 100) -> dict[str, float]:
    """Time a deterministic pass and ``samples`` passes of the same rows, in turn; return the medians."""
    random = np.random.default_rng(0)
    inputs = {"x": random.random((rows, 3, SIZE, SIZE), np.float32)}

    def passes() -> None:
        for _ in predictor.passes(inputs, samples, seed=0):
            pass

    once, many = [], []
    for _ in range(rounds):
        once.append(seconds(lambda: predictor.predict(inputs)))
        many.append(seconds(passes))
    times = {"deterministic": statistics.median(once[1:]), "passes": statistics.median(many[1:])}
    return {**times, "ratio": times["passes"] / times["deterministic"]}


def seconds(run: Callable[[], Any]) -> float:
    """Time one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Measure each network at 1 and 8 rows and print what the passes cost."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=12, help="times to measure; the first warms up")
    arguments.add_argument("--threads", type=int, default=0, help="threads of a run (default: one a core)")
    options = arguments.parse_args()
    torch.manual_seed(0)
    figures: list[dict[str, Any]] = []
    for name, make in (("resnet18", resnet), ("vgg11", vgg)):
        network, example = make(), torch.rand(2, 3, SIZE, SIZE)
        settle(network, example)
        bundle = export(network, example, task="classification", outputs="logits", name=name)
        predictor = Predictor(bundle, options.threads)
        figures += [
            {"network": name, "rows": rows, **measure(predictor, rows, options.rounds)} for rows in (1, 8)
        ]
    print(table(figures))
    write("head", figures)


def table(figures: list[dict[str, Any]]) -> str:
    """Format the figures as a table."""
    lines = [
        f"100 passes beside one deterministic pass, {SIZE}x{SIZE} images, dropout in the head only, medians",
        f"{'network':12}{'rows':>6}{'one pass, ms':>14}{'100 passes, ms':>16}{'ratio':>8}{'bar':>6}",
    ]
    lines += [
        f"{row['network']:12}{row['rows']:>6}{1e3 * row['deterministic']:>14.1f}{1e3 * row['passes']:>16.1f}"
        f"{row['ratio']:>8.2f}{BAR:>6}"
        for row in figures
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
