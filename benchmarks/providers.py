"""The effects of an execution provider of ONNX Runtime, such as a GPU: time, error, and reproducible bits.

Runs each bundle of a store on the rows of its example, repeated. Needs only Caveat itself and the provider's
package, such as ``onnxruntime-gpu[cuda,cudnn]`` in place of ``onnxruntime``.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import parser, write

from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.example import example_rows
from caveat.models.bundles.signature import Inputs, encode
from caveat.models.engines.onnx_runtime import CPU
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor

SAMPLES = 100
ROWS = (1, 16, 256)


def main() -> None:
    """Measure, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("store", type=Path, help="folder of bundles, <name>/<version>/")
    arguments.add_argument(
        "--providers", default=f"CUDAExecutionProvider,{CPU}", help="providers, the preferred one first"
    )
    arguments.add_argument("--rounds", type=int, default=15, help="times to measure, in turn (default: 15)")
    options = arguments.parse_args()
    providers = options.providers.split(",")
    figures = []
    print(f"{SAMPLES} passes, ms: {providers[0]} beside {CPU}, medians")
    columns = f"{'model':20}{'rows':>6}{'CPU':>10}{'provider':>10}{'speed':>9}"
    print(f"{columns}{'error / standard error':>24}{'bits':>8}")
    for folder in store.bundle_folders(options.store):
        bundle = store.load(folder)
        for figure in measure(bundle, providers, options.rounds):
            figures.append({"model": bundle.manifest.name, **figure})
            print(
                f"{bundle.manifest.name:20}{figure['rows']:>6}{1e3 * figure['cpu']:>10.2f}"
                f"{1e3 * figure['provider']:>10.2f}{figure['speed']:>8.1f}x{figure['error']:>24.5f}"
                f"{'hold' if figure['bits_hold'] else 'differ':>8}",
                flush=True,
            )
    write("providers", {"provider": providers[0], "rows": figures})


def measure(bundle: Bundle, providers: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Compare the provider with the CPU on the same passes, with their statistics.

    The error is the root mean square, over rows and outputs, of the change in the mean, divided by the root
    mean square of the Monte Carlo standard error of independent passes.
    """
    made = {
        "cpu": Predictor(bundle, kept_seed=0),
        "provider": Predictor(bundle, kept_seed=0, providers=providers),
    }
    example = encode(bundle.manifest.inputs, example_rows(bundle.manifest, made["cpu"].example))
    figures = []
    for count in ROWS:
        rows = repeated(example, count)
        times: dict[str, list[float]] = {name: [] for name in made}
        for _ in range(rounds + 2):
            for name, predictor in made.items():
                start = time.perf_counter()
                estimate(predictor, rows, SAMPLES, 0)
                times[name].append(time.perf_counter() - start)
        exact, other = (estimate(predictor, rows, SAMPLES, 0, "independent") for predictor in made.values())
        medians = {name: statistics.median(each[2:]) for name, each in times.items()}
        difference = exact["mean"].astype(np.float64) - other["mean"]
        figures.append(
            {
                "rows": count,
                **medians,
                "speed": medians["cpu"] / medians["provider"],
                "error": float(
                    np.sqrt(np.square(difference).mean() / np.square(exact["standard_error"]).mean())
                ),
                "bits_hold": bits_hold(made["provider"], rows),
            }
        )
    return figures


def repeated(example: Inputs, count: int) -> dict[str, Any]:
    """Repeat rows until there are ``count``."""
    return {name: np.resize(array, (count, *array.shape[1:])) for name, array in example.items()}


def bits_hold(predictor: Predictor, rows: Inputs) -> bool:
    """Tell whether the first row has the same bits alone as among the others."""
    together = estimate(predictor, rows, SAMPLES, 0)["mean"]
    alone = estimate(predictor, {name: array[:1] for name, array in rows.items()}, SAMPLES, 0)["mean"]
    return bool(np.array_equal(together[:1], alone))


if __name__ == "__main__":
    main()
