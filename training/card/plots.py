"""The plots of a model card, each with a caption that says how to read it."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caveat.training.drawing.canvas import BLUE, COLOURS, GREY, ORANGE, RED, Plot, plot
from caveat.training.measures.evaluation import Evaluation
from caveat.training.measures.names import coverages
from caveat.training.tasks import tasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the plots of an evaluation."""
    yield from tasks.of(evaluation.manifest).plots(evaluation)
    yield plot(
        "Withholding the most uncertain answers",
        "From right to left, fewer and more certain answers are given. The faster a line falls, the better "
        "its score predicts the model's errors.",
        partial(_risk, evaluation),
    )
    yield plot(
        "Uncertainty" + ("" if evaluation.strange is None else ", also of out-of-distribution rows"),
        "The less the shapes overlap, the better the uncertainty separates them.",
        partial(_histograms, evaluation),
    )
    if evaluation.held:
        yield plot(
            "Coverage, measured and asked for",
            "On the diagonal, the truth is held exactly as often as asked for; above it, more often, as "
            "where the label alone is right more often. Bars are two standard errors; numbers are mean "
            "sizes.",
            partial(_coverage, evaluation),
        )
    if any(step.error or step.promised for step in evaluation.steps):  # unless no pass differs from another
        yield plot(
            "Convergence",
            "Distance of the mean from the mean of 1,000 other passes, and the standard error that the "
            "answers state: the stated line should lie on the measured line or above it.",
            partial(_convergence, evaluation),
        )


def _risk(evaluation: Evaluation, axes: "Axes") -> None:
    task, y = tasks.of(evaluation.manifest), evaluation.y
    shares = np.arange(1, len(y) + 1) / len(y)
    first = max(1, len(y) // 20)  # with fewer rows, a rate is mostly noise
    for (name, risks), colour in zip(task.curves(evaluation.columns, y).items(), COLOURS, strict=False):
        axes.plot(shares[first:], risks[first:], color=colour, label=name)
    axes.set(xlabel="fraction of rows answered", ylabel=task.risk, xlim=(0, 1), ylim=(0, None))
    axes.legend(fontsize=9)


def _histograms(evaluation: Evaluation, axes: "Axes") -> None:
    task, answer = tasks.of(evaluation.manifest), evaluation.columns
    spread = task.spread(answer)
    own = zip(task.parts(answer, evaluation.y).items(), (BLUE, RED, GREY), strict=False)
    parts = {name: (spread[rows], colour) for (name, rows), colour in own}
    if evaluation.strange is not None:
        parts["out of distribution"] = (task.spread(evaluation.strange), ORANGE)
    shown = np.concatenate([of for of, _ in parts.values()])
    most = float(np.quantile(shown, 0.995)) or 1.0  # larger values go to the last bar
    edges = np.linspace(min(0.0, float(shown.min())), most, 25).tolist()
    for name, (of, colour) in parts.items():
        if len(of):
            bars = {"x": np.minimum(of, most), "bins": edges, "weights": np.full(len(of), 1 / len(of))}
            axes.hist(**bars, histtype="stepfilled", alpha=0.3, color=colour)
            axes.hist(**bars, histtype="step", color=colour, label=f"{name} ({len(of)})")
    axes.set(xlabel=task.spread_name(evaluation.target), ylabel="fraction of rows")
    axes.legend()


def _convergence(evaluation: Evaluation, axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator

    counts = [step.samples for step in evaluation.steps]
    axes.loglog(counts, [step.promised for step in evaluation.steps], "s--", color=ORANGE, label="stated")
    axes.loglog(counts, [step.error for step in evaluation.steps], "o-", color=BLUE, label="measured")
    axes.set(xlabel="passes", ylabel="error of the mean")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.set_xticks(counts, labels=map(str, counts))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()


def _coverage(evaluation: Evaluation, axes: "Axes") -> None:
    asked = coverages(evaluation.columns)
    found = [of.coverage.value for of in evaluation.held]
    errors = [2 * of.coverage.error for of in evaluation.held]
    axes.plot([0.75, 1], [0.75, 1], color=GREY, linewidth=1, linestyle=":")
    axes.errorbar(asked, found, yerr=errors, fmt="o", color=BLUE, capsize=4)
    for place, height, of in zip(asked, found, evaluation.held, strict=True):
        axes.annotate(
            f"{of.size.value:.3g}", (place, height), (8, -12), textcoords="offset points", color=GREY
        )
    axes.set(xlabel="coverage asked for", ylabel="coverage measured", xlim=(0.75, 1.02))
