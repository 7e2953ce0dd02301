"""Plots of class probabilities."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caveat.training.drawing.canvas import BLUE, GREY, ORANGE, PALE, Plot, plot
from caveat.training.measures import classes
from caveat.training.measures.evaluation import Evaluation
from caveat.training.measures.names import ONCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RELIABILITY_BINS = 10


def reliability(evaluation: Evaluation) -> Plot:
    """Draw how often answers are right against their probability."""
    return plot(
        "Reliability",
        "On the diagonal, answers are right as often as their probability says. Below it they are "
        "overconfident, above it underconfident. Large dots and high bars show where most rows are.",
        partial(_reliability, evaluation),
    )


def _reliability(evaluation: Evaluation, axes: "Axes") -> None:
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
