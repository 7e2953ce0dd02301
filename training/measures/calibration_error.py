"""The expected calibration error: how far the probability of a label is from the rate of right labels."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caveat.training.measures.ties import ordered

BINS: Final = 15

Vector = NDArray[np.float64]


class Bins(NamedTuple):
    """Sums over the rows of each bin, shape (15,): of the rows, their confidences, and right labels."""

    rows: NDArray[Any]
    confidence: NDArray[Any]
    right: NDArray[Any]


def binned(confidence: Vector, right: NDArray[np.bool_]) -> Bins:
    """Sum up rows in bins of equal width, by the probabilities of their labels.

    A bin holds its upper edge, so that the last one holds 1 (Guo et al., "On calibration of modern neural
    networks", ICML 2017). Edges are compared in float32, as answers are.

    Parameters
    ----------
    confidence
        Probability of each row's label, shape (B,).
    right
        Whether the label is right, shape (B,).

    Examples
    --------
    >>> binned(np.array([0.95, 1.0, 0.5]), np.array([True, False, True])).rows
    array([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2])
    """
    edges = (np.arange(1, BINS) / BINS).astype(np.float32)
    places = np.searchsorted(edges, confidence.astype(np.float32))
    rows, sure, truly = (np.bincount(places, each, BINS) for each in (None, confidence, right))
    return Bins(rows, sure, truly)


def ece(probabilities: Vector, y: NDArray[np.integer]) -> float:
    """Give the expected calibration error of probabilities (B, C) in bins of equal width; see `binned`.

    It is the mean over rows of the distance, in their bin, of the mean confidence from the rate of right
    labels (Guo et al., ICML 2017).

    >>> round(ece(np.array([[0.95, 0.05], [1.0, 0.0]]), np.array([0, 1])), 3)
    0.475
    """
    bins = binned(probabilities.max(axis=-1), probabilities.argmax(axis=-1) == y)
    return float(np.abs(bins.confidence - bins.right).sum() / len(y))


def adaptive_ece(confidence: Vector, wrong: NDArray[Any]) -> float:
    """Give the expected calibration error in 15 bins of equal numbers of rows, to within one.

    Bins are cut from the rows in the order of their confidences (Nguyen & O'Connor, EMNLP 2015). Rows with
    equal confidences, to float32, are shared out evenly: each counts in its bin as their mean, so that the
    order of the rows does not matter.

    >>> round(adaptive_ece(np.full(30, 0.9), np.arange(30) < 6), 3)
    0.1
    """
    gaps = ordered(confidence.astype(np.float32), ~wrong - confidence)
    return float(sum(abs(bin_.sum()) for bin_ in np.array_split(gaps, BINS)) / len(gaps))
