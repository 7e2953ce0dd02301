"""The columns of answers that metrics count: how uncertain rows were."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor


class Scores(NamedTuple):
    """The scores of rows that one turn of the engine finished, with equal options.

    Parameters
    ----------
    predictor
        The model that answered.
    asked
        The options that all of the rows share.
    columns
        The counted columns.
    """

    predictor: Predictor
    asked: Asked
    columns: Columns


def scores(predictor: Predictor, asked: Asked, columns: Columns) -> Scores:
    """Select the counted columns of some answers; see `caveat.models.tasks.task.Task.counted`."""
    counted = predictor.task.counted
    return Scores(predictor, asked, {name: columns[name] for name in counted if name in columns})


def finite(columns: Mapping[str, NDArray[Any]]) -> Columns:
    """Drop rows on which the network overflowed, since they get no answer."""
    first = next(iter(columns.values()), None)
    if first is None:
        return columns
    known = np.isfinite(first).reshape(len(first), -1).all(axis=1)
    return {name: column[known] for name, column in columns.items()}
