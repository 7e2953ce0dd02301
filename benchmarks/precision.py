"""The effects of bfloat16: time, error relative to the Monte Carlo error, and whether bits are reproducible.

Trains one network of every kind, as in `kinds.py`, and takes the networks of `serving.py` untrained.
Needs the training extra and OpenVINO (the extra ``bfloat16``).
"""

import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from kinds import KINDS, passes, trained
from report import parser, write
from serving import NETS, make

from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.predictor import Predictor, row_blocks

SAMPLES = 100
BAR = 0.1


def main() -> None:
    """Measure, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=15, help="times to measure, in turn (default: 15)")
    arguments.add_argument("--epochs", type=int, default=25, help="epochs of training (default: 25)")
    options = arguments.parse_args()
    figures = {}
    print(f"{SAMPLES} passes over 16 rows in bfloat16 beside float32")
    print(f"{'network':20}{'speed':>8}{'error of the mean / its standard error':>42}{'bits':>8}")
    for kind in (*KINDS, *NETS):
        bundle, rows = network(kind, options.epochs)
        figures[kind] = figure = measure(bundle, rows, options.rounds)
        print(
            f"{kind:20}{figure['speed']:>7.2f}x{figure['error']:>36.3f} < {BAR}"
            f"{'hold' if figure['bits_hold'] else 'differ':>8}",
            flush=True,
        )
    write("precision", figures)


def network(kind: str, epochs: int) -> tuple[Bundle, dict[str, Any]]:
    """Train a network of a kind, or make one of the networks of `serving.py`; return it with 16 rows."""
    if kind in KINDS:
        return trained(kind, 16, epochs)
    with tempfile.TemporaryDirectory() as scratch:
        make(NETS[kind], Path(scratch))
        bundle = store.load(store.find(Path(scratch) / "store" / "mlp"))
        # The weights are mapped from a file that goes with the folder.
        bundle = replace(bundle, files={name: bytes(content) for name, content in bundle.files.items()})
    return bundle, {"x": np.random.default_rng(0).random((16, NETS[kind][0]), np.float32)}


def measure(bundle: Bundle, rows: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Compare both precisions on the same passes.

    The error is the root mean square, over rows and outputs, of the change in the mean of the passes,
    divided by the root mean square of the Monte Carlo standard error of independent passes.
    """
    single, half = Predictor(bundle), Predictor(bundle, precision="bfloat16")
    runs = {
        name: partial(made.some_passes, rows, 0, "stratified", 0, SAMPLES)
        for name, made in (("float32", single), ("bfloat16", half))
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    exact = passes(single, rows, SAMPLES, 0, "stratified")
    rounded = passes(half, rows, SAMPLES, 0, "stratified")
    standard_error = np.sqrt((exact.var(0, ddof=1) / SAMPLES).mean())
    return {
        "speed": statistics.median(times["float32"][2:]) / statistics.median(times["bfloat16"][2:]),
        "error": np.sqrt(((exact.mean(0) - rounded.mean(0)) ** 2).mean()) / standard_error,
        "bits_hold": bits_hold(half, rows, rounded),
    }


def bits_hold(predictor: Predictor, rows: dict[str, Any], together: Any) -> bool:
    """Tell whether rows alone, in small blocks, and fewer passes at once give the same bits."""
    blocks = [
        np.concatenate(
            [passes(predictor, block, SAMPLES, 0, "stratified") for block in row_blocks(rows, size)], 1
        )
        for size in (1, 3, 7)
    ]
    few = [predictor.some_passes(rows, 0, "stratified", start, start + 10) for start in range(0, SAMPLES, 10)]
    fewer = np.concatenate(few).astype(np.float64).reshape(together.shape)
    return all(np.array_equal(block, together) for block in (*blocks, fewer))


if __name__ == "__main__":
    main()
