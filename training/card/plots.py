"""The plots of a model card, each with a caption that says how to read it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from scipy.stats import norm

from caveat.models.tasks import tasks
from caveat.training.drawing.canvas import BLUE, COLOURS, GREY, ORANGE, PALE, RED, svg
from caveat.training.evaluation.answers import ONCE, ONCE_CALIBRATED, coverages, held_name
from caveat.training.evaluation.evaluate import GROUPED_AT, WITHOUT, holds
from caveat.training.measures import classes, values
from caveat.training.measures.evaluation import Evaluation

_ROWS_SHOWN = 120
_RELIABILITY_BINS = 10


@dataclass(frozen=True)
class Plot:
    """A drawing as SVG, with a title and a caption that says how to read it."""

    title: str
    reading: str
    drawing: str


def plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the plots of an evaluation."""
    if evaluation.manifest.classes is not None:
        yield _plot(
            "Reliability",
            "On the diagonal, answers are right as often as their probability says. Below it they are "
            "overconfident, above it underconfident. Large dots and high bars show where most rows are.",
            partial(_reliability, evaluation),
        )
    else:
        if held_name(GROUPED_AT) in evaluation.columns:
            yield _plot(
                f"Intervals at {GROUPED_AT:.0%}, and truths",
                "Rows in the order of their predictions. One truth in ten may lie outside its bar, in red; "
                "a wide bar is an uncertain answer.",
                partial(_intervals, evaluation),
            )
        yield _plot(
            "Truths within the predicted distributions",
            "Flat: the predicted spread is right. A hump: it is too wide. A bowl: it is too narrow. A slope: "
            "the predictions are biased.",
            partial(_ranks, evaluation),
        )
    yield _plot(
        "Withholding the most uncertain answers",
        "From right to left, fewer and more certain answers are given. The faster a line falls, the better "
        "its score predicts the model's errors.",
        partial(_risk, evaluation),
    )
    yield _plot(
        "Uncertainty" + ("" if evaluation.strange is None else ", also of out-of-distribution rows"),
        "The less the shapes overlap, the better the uncertainty separates them.",
        partial(_histograms, evaluation),
    )
    if evaluation.held:
        yield _plot(
            "Coverage, measured and asked for",
            "On the diagonal, the truth is held exactly as often as asked for. Bars are two standard errors; "
            "numbers are mean sizes.",
            partial(_coverage, evaluation),
        )
    yield _plot(
        "Convergence",
        "Distance of the mean from the mean of 1,000 other passes, and the standard error that the answers "
        "state: the stated line should lie on the measured line or above it.",
        partial(_convergence, evaluation),
    )


def _plot(title: str, reading: str, draw: Callable[[Axes], None]) -> Plot:
    return Plot(title, reading, svg(draw, title))


def _reliability(evaluation: Evaluation, axes: Axes) -> None:
    answer = evaluation.columns
    methods = {
        "Monte Carlo": answer["mean"],
        "calibrated": answer.get("probabilities"),
        "without dropout": answer[ONCE],
    }
    edges = np.linspace(0, 1, _RELIABILITY_BINS + 1)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for (name, probabilities), colour in zip(methods.items(), (ORANGE, BLUE, GREY), strict=True):
        if probabilities is None:
            continue
        exact = classes.scaled(probabilities)
        confidence, right = exact.max(axis=-1), exact.argmax(axis=-1) == evaluation.y
        places = np.minimum(np.digitize(confidence, edges) - 1, _RELIABILITY_BINS - 1)
        there = [place for place in range(_RELIABILITY_BINS) if (places == place).any()]
        points = [(confidence[places == each].mean(), right[places == each].mean()) for each in there]
        areas = [120 * np.sqrt((places == each).mean()) for each in there]
        sure, right_at = zip(*points, strict=True)
        axes.plot(sure, right_at, color=colour, label=name, linewidth=1)
        axes.scatter(sure, right_at, areas, color=colour)
        if name == "Monte Carlo":
            shares = np.bincount(places, minlength=_RELIABILITY_BINS) / len(places)
            axes.bar(edges[:-1] + 0.05, shares, width=0.09, color=PALE, zorder=0)
    axes.set(xlabel="probability of the label", ylabel="fraction correct", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left")


def _risk(evaluation: Evaluation, axes: Axes) -> None:
    answer, y = evaluation.columns, evaluation.y
    if evaluation.manifest.classes is not None:
        wrong = (answer["label"] != y).astype(np.float64)
        scores = {name: (of, wrong) for name, of in classes.scores(answer).items() if name != "variance"}
        once = answer[ONCE]
        scores[WITHOUT] = (classes.least_confidence(once), (once.argmax(axis=-1) != y).astype(np.float64))
        label = "error rate of the given answers"
    else:
        squares = np.square(answer["mean"] - y)
        scores = {name: (of, squares) for name, of in values.scores(answer).items()}
        label = "RMSE of the given answers"
    finish = np.sqrt if evaluation.manifest.classes is None else np.asarray
    shares = np.arange(1, len(y) + 1) / len(y)
    first = max(1, len(y) // 20)  # with fewer rows, a rate is mostly noise
    for (name, (score, loss)), colour in zip(scores.items(), COLOURS, strict=False):
        axes.plot(shares[first:], finish(classes.risks(score, loss))[first:], color=colour, label=name)
    axes.set(xlabel="fraction of rows answered", ylabel=label, xlim=(0, 1), ylim=(0, None))
    axes.legend(fontsize=9)


def _histograms(evaluation: Evaluation, axes: Axes) -> None:
    answer = evaluation.columns
    main = tasks.of(evaluation.manifest).uncertainty
    uncertainty = answer[main].astype(np.float64)
    if evaluation.manifest.classes is None:
        parts = {"these rows": (np.sqrt(uncertainty), BLUE)}
        label = f"standard deviation{_units(evaluation)}"
    else:
        right = answer["label"] == evaluation.y
        parts = {"right": (uncertainty[right], BLUE), "wrong": (uncertainty[~right], RED)}
        label = "predictive entropy, nats"
    if evaluation.strange is not None:
        other = evaluation.strange[main].astype(np.float64)
        parts["out of distribution"] = (
            np.sqrt(other) if evaluation.manifest.classes is None else other,
            ORANGE,
        )
    shown = np.concatenate([of for of, _ in parts.values()])
    most = float(np.quantile(shown, 0.995)) or 1.0  # larger values go to the last bar
    edges = np.linspace(min(0.0, float(shown.min())), most, 25).tolist()
    for name, (of, colour) in parts.items():
        if len(of):
            bars = {"x": np.minimum(of, most), "bins": edges, "weights": np.full(len(of), 1 / len(of))}
            axes.hist(**bars, histtype="stepfilled", alpha=0.3, color=colour)
            axes.hist(**bars, histtype="step", color=colour, label=f"{name} ({len(of)})")
    axes.set(xlabel=label, ylabel="fraction of rows")
    axes.legend()


def _convergence(evaluation: Evaluation, axes: Axes) -> None:
    counts = [step.samples for step in evaluation.steps]
    axes.loglog(counts, [step.promised for step in evaluation.steps], "s--", color=ORANGE, label="stated")
    axes.loglog(counts, [step.error for step in evaluation.steps], "o-", color=BLUE, label="measured")
    axes.set(xlabel="passes", ylabel="error of the mean")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.set_xticks(counts, labels=map(str, counts))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()


def _coverage(evaluation: Evaluation, axes: Axes) -> None:
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


def _intervals(evaluation: Evaluation, axes: Axes) -> None:
    mean, y = evaluation.columns["mean"], evaluation.y
    order = np.argsort(mean, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, min(len(order), _ROWS_SHOWN)).round().astype(int)]
    low, high = evaluation.columns[held_name(GROUPED_AT)][shown].T
    inside = holds(evaluation.columns, GROUPED_AT, y)[shown]
    places = np.arange(len(shown))
    axes.vlines(places, low, high, color=PALE, linewidth=3)
    axes.plot(places, mean[shown], color=GREY, linewidth=1, label="prediction")
    axes.plot(places[inside], y[shown][inside], ".", color=BLUE, label="truth, inside")
    axes.plot(places[~inside], y[shown][~inside], "x", color=RED, label="truth, outside")
    axes.set(xlabel="rows, by their prediction", ylabel=_name(evaluation), xticks=[])
    axes.legend(fontsize=9)


def _ranks(evaluation: Evaluation, axes: Axes) -> None:
    answer = evaluation.columns
    laws = {
        "Monte Carlo": (answer["mean"], answer["variance"], BLUE),
        "without dropout": (answer[ONCE], answer[ONCE_CALIBRATED], GREY),
    }
    edges = np.linspace(0, 1, 11).tolist()
    for name, (mean, variance, colour) in laws.items():
        places = norm.cdf((evaluation.y - mean) / np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny)))
        weights = np.full(len(places), 1 / len(places))
        axes.hist(places, edges, weights=weights, histtype="step", color=colour, label=name, linewidth=1.8)
    axes.axhline(0.1, color=GREY, linewidth=1, linestyle=":")
    axes.set(xlabel="probability of a smaller value", ylabel="fraction of rows", ylim=(0, None))
    axes.legend()


def _name(evaluation: Evaluation) -> str:
    return evaluation.target or "value"


def _units(evaluation: Evaluation) -> str:
    return "" if evaluation.manifest.classes is not None else f", units of {_name(evaluation)}"
