"""What is to be learned: the values of a target, and the task that they set."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.training.data.errors import DataError
from caveat.training.vocabulary import Task

MAX_INFERRED_CLASSES = 20
"""Whole numbers are taken for classes up to so many different ones."""


def infer_task(values: NDArray[Any]) -> Task:
    """Tell the task from the target: text, booleans and a few whole numbers are classes.

    Parameters
    ----------
    values
        Shape (B,).

    Examples
    --------
    >>> infer_task(np.array(["cat", "dog"])), infer_task(np.array([0, 1, 1]))
    ('classification', 'classification')
    >>> infer_task(np.array([0.5, 1.0])), infer_task(np.arange(1000))
    ('regression', 'regression')
    """
    if values.dtype.kind in "Ub":
        return "classification"
    distinct = np.unique(values)
    few = len(distinct) <= MAX_INFERRED_CLASSES and bool((distinct == np.floor(distinct)).all())
    return "classification" if few else "regression"


def encode_target(
    values: NDArray[Any], task: Task | None, where: str
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Turn a target into what a network learns.

    Parameters
    ----------
    values
        Numbers, booleans or text, shape (B,), none missing and all finite; of several targets (B, T).
    task
        What to learn; by default `infer_task` tells, and several targets make a regression.
    where
        What to call the target in an error.

    Returns
    -------
    y, classes
        Indices of classes (int64) and the names of these in their order, or values (float64) and None.

    Raises
    ------
    DataError
        If a regression is asked for and the target is no number, or a classification of several targets.

    Examples
    --------
    >>> encode_target(np.array(["dog", "cat", "dog"]), None, "pet")
    (array([1, 0, 1]), ('cat', 'dog'))
    """
    if values.ndim > 1:
        if task == "classification":
            raise DataError(f"{where}: several targets make a regression; leave --task classification out")
        task = "regression"
    if (task or infer_task(values)) == "classification":
        names, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64), tuple(_name(name) for name in names.tolist())
    if values.dtype.kind in "Ub":
        kind = "booleans" if values.dtype.kind == "b" else "text"
        raise DataError(f"{where}: holds {kind}; a regression needs numbers (or --task classification)")
    return values.astype(np.float64), None


def _name(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)
