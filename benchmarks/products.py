"""The time of passes with their statistics, relative to the bare matrix products of the fastest library.

The time of the products is a lower limit: any implementation has to multiply once per row before the first
dropout, and once per row and pass after it. Needs the training extra.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from report import parser, write
from serving import NETS, make

from caveat.models.bundles import store
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor

SAMPLES = 100
ROWS = (1, 16, 64)


def main() -> None:
    """Measure both networks and print what fraction of the limit the passes reach."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=15, help="times to measure, in turn (default: 15)")
    options = arguments.parse_args()
    figures = []
    print(f"{SAMPLES} passes, ms, medians; the share is that of the limit's speed which is reached")
    print(f"{'network':20}{'rows':>6}{'products':>10}{'passes':>10}{'share':>8}")
    for net, widths in NETS.items():
        with tempfile.TemporaryDirectory() as scratch:
            make(widths, Path(scratch))
            predictor = Predictor(store.load(Path(scratch) / "store" / "mlp" / "1"), kept_seed=0)
        for rows in ROWS:
            times = measure(predictor, widths, rows, options.rounds)
            figures.append({"network": net, "rows": rows, **times})
            print(
                f"{net:20}{rows:>6}{times['products']:>10.2f}{times['passes']:>10.2f}"
                f"{times['products'] / times['passes']:>8.2f}",
                flush=True,
            )
    write("products", figures)


def measure(predictor: Predictor, widths: tuple[int, ...], rows: int, rounds: int) -> dict[str, float]:
    """Time the passes with their statistics, and the products, in turn; milliseconds."""
    inputs = {"x": np.random.default_rng(0).random((rows, widths[0]), np.float32)}
    runs = bare(widths, rows) | {"passes": lambda: estimate(predictor, inputs, SAMPLES, 0)}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 2):
        for name, run in runs.items():
            time.sleep(0.1)  # until no library's threads spin for more work
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    medians = {name: 1e3 * statistics.median(of[2:]) for name, of in times.items()}
    return {"products": min(medians["numpy"], medians["torch"]), "passes": medians["passes"]}


def bare(widths: tuple[int, ...], rows: int) -> dict[str, Callable[[], object]]:
    """Give the products that `SAMPLES` passes need, in each library."""
    random = np.random.default_rng(0)
    weights = [random.random(shape, np.float32) for shape in pairwise(widths)]
    counts = [rows] + [rows * SAMPLES] * (len(weights) - 1)
    left = [
        random.random((count, len(weight)), np.float32) for count, weight in zip(counts, weights, strict=True)
    ]
    tensors = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(left, weights, strict=True)]
    return {
        "numpy": lambda: [a @ b for a, b in zip(left, weights, strict=True)],
        "torch": lambda: [a @ b for a, b in tensors],
    }


if __name__ == "__main__":
    main()
