"""How exact the mean of stratified passes is, measured by the means of blocks of passes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs
from caveat.models.draws.strata import BLOCK
from caveat.models.estimates.answer import estimate
from caveat.models.estimates.errors import groups
from caveat.models.predictor import Predictor
from caveat.models.tasks.facts import ErrorRatios

BLOCKS: Final = 40
"""Blocks of passes over each row, which are independent of each other."""

_HALVINGS: Final = 8
_STANDARD_ERRORS: Final = 2.0
_MOST: Final = float(np.sqrt(BLOCK / (BLOCK - 1)))  # where all variance comes from pairs of units


def error_ratios(predictor: Predictor, inputs: Inputs, several: bool) -> ErrorRatios:
    """Measure how exact the mean of a block of stratified passes is, and bound it from above.

    The variance of a pass is that within a block and that of the means of blocks. An output's ratio is the
    standard deviation of its means of blocks in units of what independent passes would have. Outputs of
    about equal variance are averaged, and two standard errors are added, by the jackknife over blocks (Efron
    & Stein, "The jackknife estimate of variance", 1981). The bound never falls as the variance falls.

    Parameters
    ----------
    predictor
        Predictor of the model; a calibration that it has would change the standard errors.
    inputs
        Rows that did not train the network.
    several
        Whether the model has several targets, each with its own units.
    """
    answers = [estimate(predictor, inputs, BLOCK, seed) for seed in range(BLOCKS)]
    means = np.stack([answer["mean"].astype(np.float64) for answer in answers])
    squares = np.stack([np.square(answer["standard_error"].astype(np.float64)) for answer in answers])
    if not several:
        means, squares = (values.reshape(BLOCKS, -1, 1) for values in (means, squares))
    between = BLOCKS / (BLOCKS - 1) * np.square(means - means.mean(axis=0))
    within = (BLOCK - 1) * squares  # a block's own variance, less what its mean has of it
    variance = (between + within).mean(axis=0)
    greatest = variance.max(axis=0)
    known = ErrorRatios(
        greatest=tuple(greatest) if several else float(greatest[0]), ratios=(1.0,) * _HALVINGS
    )
    places = groups(variance, known)
    bounds = [
        _bounds(between[:, :, target], within[:, :, target], places[:, target])
        for target in range(len(greatest))
    ]
    return known.model_copy(update={"ratios": tuple(np.max(bounds, axis=0).tolist())})


def _bounds(
    between: NDArray[np.float64], within: NDArray[np.float64], places: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Bound the ratio in each group of outputs, from the greatest variance down.

    ``between`` and ``within`` have shape (blocks, outputs), and ``places`` tell the group of each output.
    """
    bounds = np.ones(_HALVINGS + 1)
    for group in range(1, _HALVINGS + 1):
        of = places == group
        if not of.any():
            bounds[group] = bounds[group - 1]  # as that of the smaller variance
            continue
        parts = np.stack([values[:, of].sum(axis=1) for values in (between, within)])
        left = parts.sum(axis=1, keepdims=True) - parts  # without each block in turn
        squares = BLOCK * left[0] / left.sum(axis=0)
        error = np.sqrt((BLOCKS - 1) * squares.var())
        bounds[group] = min(np.sqrt(squares.mean() + _STANDARD_ERRORS * error), _MOST)
    return np.maximum.accumulate(bounds[:0:-1])
