"""What is counted of answers: how uncertain rows were."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor

_COUNTED: Final = {
    "classification": ("predictive_entropy", "mutual_information", "percentile", "abstain"),
    "regression": ("variance", "percentile", "abstain"),
}
"""The columns that are counted, of each task; the first ones are finite where all of an answer is."""


class Scores(NamedTuple):
    """The scores of rows that left a turn of the engine together, and were asked the same.

    Parameters
    ----------
    predictor
        That has made them.
    asked
        What all of the rows were asked.
    columns
        Those that are counted.
    """

    predictor: Predictor
    asked: Asked
    columns: Columns


def scores(predictor: Predictor, asked: Asked, columns: Columns) -> Scores:
    """Take what is counted of some answers."""
    counted = _COUNTED[predictor.manifest.task]
    return Scores(predictor, asked, {name: columns[name] for name in counted if name in columns})


def finite(columns: Mapping[str, NDArray[Any]]) -> Columns:
    """Leave rows out on which the network overflowed: they get no answer."""
    first = next(iter(columns.values()))
    known = np.isfinite(first).reshape(len(first), -1).all(axis=1)
    return {name: column[known] for name, column in columns.items()}
