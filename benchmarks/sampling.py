"""The accuracy of N passes, stratified and independent, and the cost of stopping early.

Trains one network of every kind on scikit-learn's digits, as images, rows of pixels or sequences, and one on
its diabetes set. For each, the moments of many independent passes count as the truth; for many seeds, the
moments of the first N passes are compared with it. Needs the training extra and matplotlib.
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits

from caveat.commands.train import Train
from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.estimates import cohort
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor

HERE = Path(__file__).parent
SAMPLERS = ("independent", "stratified")
COUNTS = (10, 25, 50, 75, 100, 200, 400)
KINDS: dict[str, dict[str, Any]] = {
    "mlp": {"dataset": "digits"},
    "mlp, rate 0.1": {"dataset": "digits", "dropout": (0.1,)},
    "mlp, 3 x 256": {"dataset": "digits", "hidden": (256, 256, 256)},
    "cnn": {"network": "cnn"},
    "lstm": {"network": "lstm"},
    "gru": {"network": "gru"},
    "transformer": {"network": "transformer"},
    "mlp, regression": {"dataset": "diabetes"},
}


@dataclass(frozen=True)
class Moments:
    """Mean and variance over passes, (rows, outputs)."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def main() -> None:
    """Measure, print tables, and write them as JSON and as a plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", help="kinds of network (default: all)")
    parser.add_argument("--seeds", type=int, default=60, help="seeds to average over (default: 60)")
    parser.add_argument("--rows", type=int, default=40, help="rows to ask about (default: 40)")
    parser.add_argument("--truth", type=int, default=20_000, help="passes of the truth (default: 20000)")
    parser.add_argument("--epochs", type=int, default=25, help="epochs of training (default: 25)")
    parser.add_argument("--plot", type=Path, help="where to write a plot, such as docs/sampling.svg")
    options = parser.parse_args()
    figures = {}
    for kind in options.kinds or KINDS:
        bundle, rows = trained(kind, options.rows, options.epochs)
        predictor = Predictor(bundle)
        truth = moments(predictor, rows, options.truth, seed=10**6, sampler="independent")
        figures[kind] = {
            "samplers": samplers(predictor, rows, truth, options.seeds),
            "stopping": stopping(predictor, rows, truth, options.seeds),
        }
        print(table(kind, figures[kind]), flush=True)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "sampling.json").write_text(json.dumps(figures, indent=1) + "\n")
    if options.plot:
        plot(figures, options.plot)


def trained(kind: str, count: int, epochs: int) -> tuple[Bundle, dict[str, NDArray[Any]]]:
    """Train a network of a kind; return it with rows to predict."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        options = dict(KINDS[kind])
        if "network" in options:
            digits = load_digits()
            np.savez(Path(scratch) / "digits.npz", x=digits.images.astype(np.float32), y=digits.target)
            options["data"] = Path(scratch) / "digits.npz"
        Train(name="kind", out=Path(scratch) / "store", epochs=epochs, **options).cli_cmd()
        bundle = store.load(store.find(Path(scratch) / "store" / "kind"))
    shape = bundle.manifest.inputs[0]
    values = load_diabetes(scaled=False).data if "regression" in kind else load_digits().images
    chosen = np.random.default_rng(0).permutation(len(values))[:count]
    encoded = values[chosen].astype(shape.dtype)
    return bundle, {shape.name: encoded}


def passes(predictor: Predictor, rows: Any, samples: int, seed: int, sampler: Any) -> NDArray[np.float64]:
    """Make passes, (samples, rows, outputs)."""
    chunks = list(predictor.passes(rows, samples, seed, sampler))
    made = np.concatenate(chunks).astype(np.float64)
    return made.reshape(samples, len(made[0]), -1)


def moments(predictor: Predictor, rows: Any, samples: int, seed: int, sampler: Any) -> Moments:
    """Compute mean and variance over many passes."""
    made = passes(predictor, rows, samples, seed, sampler)
    return Moments(made.mean(0), made.var(0, ddof=1))


def samplers(predictor: Predictor, rows: Any, truth: Moments, seeds: int) -> dict[str, Any]:
    """Measure error and bias of mean and variance for the first N passes of both samplers.

    The error of the mean is relative to the theoretical error of N independent passes, sqrt(variance / N);
    the error and the bias of the variance are relative to the variance. Errors are root mean squares over
    rows and outputs.
    """
    figures: dict[str, Any] = {}
    for sampler in SAMPLERS:
        errors: dict[int, list[Moments]] = defaultdict(list)
        for seed in range(seeds):
            made = passes(predictor, rows, max(COUNTS), seed, sampler)
            for count in COUNTS:
                first = made[:count]
                errors[count].append(Moments(first.mean(0) - truth.mean, first.var(0, ddof=1)))
        figures[sampler] = {
            count: {
                "mean_error": rms([each.mean for each in of]) / float(np.sqrt(truth.variance.mean() / count)),
                "variance_error": rms([each.variance - truth.variance for each in of])
                / float(np.sqrt((truth.variance**2).mean())),
                "variance_bias": float(np.mean([each.variance.mean() for each in of]))
                / float(truth.variance.mean())
                - 1,
            }
            for count, of in errors.items()
        }
    return figures


def rms(errors: list[NDArray[np.float64]]) -> float:
    """Average squares over seeds, rows and outputs."""
    return float(np.sqrt(np.mean(np.square(errors))))


def stopping(predictor: Predictor, rows: Any, truth: Moments, seeds: int) -> dict[int, dict[str, float]]:
    """Measure the cost of a tolerance, for several numbers of passes before a row is first checked.

    The tolerance is the median standard error of 150 passes, so that most rows stop between 50 and 400.
    """
    worst = np.sqrt(truth.variance.max(axis=1) / 150)
    tolerance = float(np.median(worst))
    figures = {}
    for first in (25, 50, 75, 100):
        with patch.object(cohort, "FIRST_LOOK", first):
            answers = [
                estimate(predictor, rows, 1000, seed, "stratified", tolerance) for seed in range(seeds)
            ]
        stopped = np.array([answer["passes"] for answer in answers])
        shape = truth.mean.shape
        mean = np.array([answer["mean"].reshape(shape) for answer in answers])
        name = "variance" if predictor.manifest.task == "classification" else "epistemic_variance"
        variance = np.array([answer[name].reshape(shape) for answer in answers])
        figures[first] = {
            "passes": float(stopped.mean()),
            "mean_bias": float(np.abs(mean.mean(0) - truth.mean).max(axis=1).mean()) / tolerance,
            "variance_bias": float(variance.mean() / truth.variance.mean()) - 1,
            "largest_error": float(np.sqrt(((mean - truth.mean) ** 2).mean(0)).max()) / tolerance,
        }
    return figures


def table(kind: str, figures: dict[str, Any]) -> str:
    """Format the figures of a kind as a table."""
    lines = [
        kind,
        f"{'N':>8}{'error of the mean':>24}{'error of the variance':>26}{'bias of the variance':>24}",
        " " * 8 + "".join(f"{word:>12}" for word in SAMPLERS * 3),
    ]
    for count in COUNTS:
        cells = [
            f"{figures['samplers'][sampler][count][name]:>12.3f}"
            for name in ("mean_error", "variance_error", "variance_bias")
            for sampler in SAMPLERS
        ]
        lines.append(f"{count:>8}" + "".join(cells))
    lines.append("stopping  first look  passes  bias of mean / tol.  bias of variance  largest error / tol.")
    for first, of in figures["stopping"].items():
        lines.append(
            f"{first:>20}{of['passes']:>8.0f}{of['mean_bias']:>21.3f}{of['variance_bias']:>18.3f}"
            f"{of['largest_error']:>22.2f}"
        )
    return "\n".join([*lines, ""])


def plot(figures: dict[str, Any], path: Path) -> None:
    """Draw error and bias against N for every kind."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "caveat", "font.size": 9})
    figure, panels = pyplot.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    titles = {
        "mean_error": "error of the mean / sqrt(variance / N)",
        "variance_error": "error of the variance / variance",
        "variance_bias": "bias of the variance / variance",
    }
    colours = mpl.color_sequences["tab10"]
    for panel, (name, title) in zip(panels, titles.items(), strict=True):
        for colour, (kind, of) in zip(colours, figures.items(), strict=False):
            for sampler, style in zip(SAMPLERS, ("--", "-"), strict=True):
                values = [of["samplers"][sampler][count][name] for count in COUNTS]
                label = kind if sampler == "stratified" and panel is panels[0] else None
                panel.plot(COUNTS, values, style, color=colour, linewidth=1.2, label=label)
        panel.set(title=title, xlabel="N", xscale="log", xticks=COUNTS, xticklabels=map(str, COUNTS))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[1].set_yscale("log")
    figure.legend(loc="outside lower center", ncols=4, title="solid: stratified, dashed: independent")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
