"""The accuracy of N passes, stratified and independent.

Trains one network of every kind on scikit-learn's digits, as images or sequences, and one on its diabetes
set. The passes of a seed are cut into runs of N, each from the beginning of a block of the stratified
sampler. How far the means of these runs scatter gives the error of the mean. The bias of the variance
follows from it: for N passes that each have the variance V, s^2 has the mean N / (N - 1) (V - Var(mean)).

A figure outside the bounds that are known for it ends the program with exit code 1. Needs the training extra
and matplotlib.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jackknife import Averages, Figure, jackknife, over_rows, plain, root, seeds_of, told
from kinds import KINDS, passes, trained
from numpy.typing import NDArray
from report import parser, write

from caveat.models.draws.masks import Sampler
from caveat.models.draws.strata import BLOCK
from caveat.models.predictor import Predictor

SAMPLERS: tuple[Sampler, Sampler] = ("independent", "stratified")
COUNTS = (5, 10, 25, 50, 75, 100, 200, 400)
TICKS = (5, 10, 25, 50, 100, 200, 400)
TITLES = {
    "mean_error": "error of the mean / √(variance / N)",
    "variance_error": "error of the variance / variance",
    "variance_bias": "bias of the variance / variance, %",
}
FORMATS = {"mean_error": ".2f", "variance_error": ".2f", "variance_bias": "+.2%"}
COLUMNS: tuple[tuple[str, Sampler, int], ...] = (
    ("mean_error", "independent", 100),
    ("mean_error", "stratified", 100),
    ("variance_error", "independent", 100),
    ("variance_error", "stratified", 100),
    ("variance_bias", "stratified", 25),
    ("variance_bias", "stratified", 100),
)


def main() -> int:
    """Measure, print a table, write it as JSON and as a plot, and give the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("kinds", nargs="*", help="kinds of network (default: all)")
    arguments.add_argument("--seeds", type=int, default=200, help="seeds for each sampler (default: 200)")
    arguments.add_argument("--rows", type=int, default=24, help="rows to ask about (default: 24)")
    arguments.add_argument("--epochs", type=int, default=15, help="epochs of training (default: 15)")
    arguments.add_argument("--plot", type=Path, help="where to write a plot, such as docs/sampling.svg")
    options = arguments.parse_args()
    figures, misses = {}, []
    print("| network |" + "".join(f" {name}, {sampler}, N = {count} |" for name, sampler, count in COLUMNS))
    print("|---" * (1 + len(COLUMNS)) + "|")
    for kind in options.kinds or KINDS:
        bundle, rows = trained(kind, options.rows, options.epochs)
        predictor = Predictor(bundle, threads=1)
        measured = {
            sampler: measure(predictor, rows, options.seeds, 2 * list(KINDS).index(kind) + place, sampler)
            for place, sampler in enumerate(SAMPLERS)
        }
        figures[kind] = {sampler: accuracy(of) for sampler, of in measured.items()}
        misses += outside(kind, figures[kind], measured)
        cells = [f"{figures[kind][sampler][count][name]:{FORMATS[name]}}" for name, sampler, count in COLUMNS]
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)
    write("sampling", plain(figures))
    if options.plot:
        plot(figures, options.plot)
    return told(misses)


def measure(
    predictor: Predictor, rows: Any, seeds: int, place: int, sampler: Sampler
) -> dict[int, NDArray[np.float64]]:
    """Measure by seed, for each N, the averages of m, m^2, v and v^2: shape (seeds, 4, rows, outputs).

    Here m and v are the mean and the variance of N passes. With N = 1, m is a pass, and v is left out.
    """
    measured: dict[int, list[NDArray[np.float64]]] = {count: [] for count in (1, *COUNTS)}
    for seed in seeds_of(place, seeds):
        made = passes(predictor, rows, max(COUNTS), seed, sampler)
        for count, of in measured.items():
            of.append(averages(made, count))
    return {count: np.stack(of) for count, of in measured.items()}


def averages(made: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Average over the runs of N passes from beginnings of blocks; see `measure`."""
    if count == 1:
        return np.stack([made.mean(axis=0), (made**2).mean(axis=0)])
    apart = -(-count // BLOCK) * BLOCK
    whole = len(made) // apart * apart
    runs = made[:whole].reshape(-1, apart, *made.shape[1:])[:, :count]
    mean, variance = runs.mean(axis=1), runs.var(axis=1, ddof=1)
    return np.stack([each.mean(axis=0) for each in (mean, mean**2, variance, variance**2)])


def accuracy(measured: dict[int, NDArray[np.float64]]) -> dict[int, dict[str, Figure]]:
    """Compute the figures of a sampler for each N.

    Errors are root mean squares over rows and outputs: that of the mean relative to sqrt(variance / N), the
    error of N independent passes; that of the variance relative to the variance.
    """
    one = measured[1]
    return {
        count: {
            "mean_error": jackknife(partial(mean_error, count), measured[count], one),
            "variance_error": jackknife(variance_error, measured[count], one),
            "variance_bias": jackknife(partial(bias, count), measured[count], one),
        }
        for count in COUNTS
    }


def mean_error(count: int, runs: Averages, one: Averages) -> Averages:
    """Give the error of the mean of N passes, relative to that of independent passes."""
    return root(count * over_rows(spread(runs), True) / over_rows(spread(one), True))


def bias(count: int, runs: Averages, one: Averages) -> Averages:
    """Give the bias of the variance that follows from the error of the mean."""
    return (1 - mean_error(count, runs, one) ** 2) / (count - 1)


def surplus(count: int, runs: Averages, one: Averages, independent: Averages) -> Averages:
    """Give the bias of the variance beside the variance of independent passes, less what it should be."""
    direct = over_rows(runs[..., 2, :, :], True) / over_rows(spread(independent), True) - 1
    return direct - bias(count, runs, one)


def variance_error(runs: Averages, one: Averages) -> Averages:
    """Give the error of the variance of N passes, relative to the variance."""
    truth = spread(one)
    squares = runs[..., 3, :, :] - 2 * truth * runs[..., 2, :, :] + truth**2
    return root(over_rows(squares, True) / over_rows(truth**2, True))


def spread(of: Averages) -> Averages:
    """Give the variance of what has these averages of itself and its square."""
    return of[..., 1, :, :] - of[..., 0, :, :] ** 2


def outside(
    kind: str,
    figures: dict[Sampler, dict[int, dict[str, Figure]]],
    measured: dict[Sampler, dict[int, NDArray[np.float64]]],
) -> list[str]:
    """List what is outside its bounds."""
    misses = []
    independent = measured["independent"][1]
    for count in COUNTS:
        cell = f"{kind}, independent, N = {count}"
        misses += figures["independent"][count]["mean_error"].misses(f"{cell}, error of the mean", 1, 1)
        cell = f"{kind}, stratified, N = {count}"
        low, high = bounds(count)
        of = figures["stratified"][count]
        misses += of["variance_bias"].misses(f"{cell}, bias of the variance", low, high)
        most, least = (np.sqrt(max(0, 1 - (count - 1) * edge)) for edge in (low, high))
        misses += of["mean_error"].misses(f"{cell}, error of the mean", least, most)
        runs, one = (measured["stratified"][each] for each in (count, 1))
        more = jackknife(partial(surplus, count), runs, one, independent)
        misses += more.misses(f"{cell}, bias beside independent passes, less the one that follows", 0, 0)
    return misses


def bounds(count: int) -> tuple[float, float]:
    """Give the bounds of the stratified variance's bias, relative to the variance.

    The bias is that of the mean correlation of two passes, with the other sign. In a block, the draws of a
    unit have a correlation of -1/24 at least and 0 at most; in what k units do together, passes have the
    product of k of these. So two passes of a block have a correlation from -1/24 to 1/24^2, and others 0.
    """
    blocks, rest = divmod(count, BLOCK)
    together = blocks * BLOCK * (BLOCK - 1) + rest * (rest - 1)
    share = together / (count * (count - 1))
    return -share / (BLOCK - 1) ** 2, share / (BLOCK - 1)


def plot(figures: dict[str, dict[Sampler, dict[int, dict[str, Figure]]]], path: Path) -> None:
    """Draw errors and bias against N for every kind, each with two standard errors to both sides."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot
    from plots import STYLE

    with mpl.rc_context(STYLE):
        figure, panels = pyplot.subplots(1, 3, figsize=(11, 4.2), layout="constrained")
        for panel, (name, title) in zip(panels, TITLES.items(), strict=True):
            scale = 100 if name == "variance_bias" else 1
            for colour, (kind, of) in zip(mpl.color_sequences["tab10"], figures.items(), strict=False):
                for sampler, style in zip(SAMPLERS, ("--", "-"), strict=True):
                    if name == "variance_bias" and sampler == "independent":
                        continue  # which has none
                    values = [scale * of[sampler][count][name].value for count in COUNTS]
                    errors = [2 * scale * of[sampler][count][name].error for count in COUNTS]
                    label = kind if sampler == "stratified" else None
                    panel.errorbar(
                        COUNTS, values, errors, fmt=style, color=colour, linewidth=1.2, label=label
                    )
            panel.set(title=title, xlabel="N", xscale="log")
            panel.set_xticks(TICKS, map(str, TICKS))
            panel.minorticks_off()
            panel.grid(visible=True)
        panels[0].set_ylim(bottom=0)
        panels[1].set(yscale="log", yticks=(0.1, 0.2, 0.5, 1), yticklabels=("0.1", "0.2", "0.5", "1"))
        panels[1].minorticks_off()
        for edge in zip(*map(bounds, COUNTS), strict=True):
            panels[2].plot(COUNTS, [100 * value for value in edge], ":", color="black", linewidth=1)
        handles = panels[0].get_legend_handles_labels()
        title = (
            "solid: stratified, dashed: independent, dotted: bounds of the bias; bars: ± 2 standard errors"
        )
        figure.legend(*handles, loc="outside lower center", ncols=8, title=title)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
