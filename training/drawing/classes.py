"""Plots of class probabilities."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caveat.training.drawing.canvas import BLUE, GREY, ORANGE, PALE, Plot, plot
from caveat.training.measures import classes
from caveat.training.measures.calibration_error import BINS, binned
from caveat.training.measures.evaluation import Evaluation
from caveat.training.measures.names import ONCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def reliability(evaluation: Evaluation) -> Plot:
    """Draw how often answers are right against their probability, in the bins of the ECE."""
    return plot(
        "Reliability",
        "On the diagonal, answers are right as often as their probability says. Below it they are "
        "overconfident, above it underconfident. Large dots and high bars show where most rows are.",
        partial(draw_reliability, evaluation),
    )


def draw_reliability(evaluation: Evaluation, axes: "Axes") -> None:
    """Draw the dots of each method, one for each bin with rows, and bars of the shares of rows."""
    answer = evaluation.columns
    methods = {
        "Monte Carlo": answer["mean"],
        "calibrated": answer.get("probabilities"),
        "without dropout": answer[ONCE],
    }
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for (name, probabilities), colour in zip(methods.items(), (ORANGE, BLUE, GREY), strict=True):
        if probabilities is None:
            continue
        exact = classes.scaled(probabilities)
        bins = binned(exact.max(axis=-1), exact.argmax(axis=-1) == evaluation.y)
        filled = bins.rows > 0
        shares = bins.rows / bins.rows.sum()
        sure, right = (sums[filled] / bins.rows[filled] for sums in (bins.confidence, bins.right))
        axes.plot(sure, right, color=colour, label=name, linewidth=1)
        axes.scatter(sure, right, 120 * np.sqrt(shares[filled]), color=colour)
        if name == "Monte Carlo":
            axes.bar((np.arange(BINS) + 0.5) / BINS, shares, width=0.9 / BINS, color=PALE, zorder=0)
    axes.set(xlabel="probability of the label", ylabel="fraction correct", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left")
