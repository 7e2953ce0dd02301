"""Plots of predicted values."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caveat.training.drawing.canvas import BLUE, GREY, PALE, RED, Plot, plot
from caveat.training.measures import values
from caveat.training.measures.evaluation import Evaluation
from caveat.training.measures.names import GROUPED_AT, ONCE, ONCE_CALIBRATED, held_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS_SHOWN = 120


def intervals(evaluation: Evaluation) -> Plot:
    """Draw some rows' intervals and truths."""
    return plot(
        f"Intervals at {GROUPED_AT:.0%}, and truths",
        "Rows in the order of their predictions. One truth in ten may lie outside its bar, in red; "
        "a wide bar is an uncertain answer.",
        partial(_intervals, evaluation),
    )


def ranks(evaluation: Evaluation) -> Plot:
    """Draw where the truths lie in their predicted distributions."""
    return plot(
        "Truths within the predicted distributions",
        "Flat: the predicted spread is right. A hump: it is too wide. A bowl: it is too narrow. A slope: "
        "the predictions are biased.",
        partial(_ranks, evaluation),
    )


def _intervals(evaluation: Evaluation, axes: "Axes") -> None:
    mean, y = evaluation.columns["mean"], evaluation.y
    order = np.argsort(mean, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, min(len(order), _ROWS_SHOWN)).round().astype(int)]
    bounds = evaluation.columns[held_name(GROUPED_AT)]
    low, high = bounds[shown].T
    inside = values.holds(bounds, y)[shown]
    places = np.arange(len(shown))
    axes.vlines(places, low, high, color=PALE, linewidth=3)
    axes.plot(places, mean[shown], color=GREY, linewidth=1, label="prediction")
    axes.plot(places[inside], y[shown][inside], ".", color=BLUE, label="truth, inside")
    axes.plot(places[~inside], y[shown][~inside], "x", color=RED, label="truth, outside")
    axes.set(xlabel="rows, by their prediction", ylabel=evaluation.target or "value", xticks=[])
    axes.legend(fontsize=9)


def _ranks(evaluation: Evaluation, axes: "Axes") -> None:
    from scipy.stats import norm

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
