"""The values of a target as a network learns them, and the task that they set."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.training.errors import DataError
from caveat.training.vocabulary import Task

MAX_INFERRED_CLASSES = 20
"""Most different whole numbers that are taken for classes; more make a regression."""


def infer_task(values: NDArray[Any]) -> Task:
    """Infer the task from the target: text, booleans and a few whole numbers are classes.

    Parameters
    ----------
    values
        Values of the target, shape (B,).

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
    """Encode a target as the classes or values that a network learns.

    Parameters
    ----------
    values
        Numbers, booleans or text, shape (B,), or numbers of T targets, (B, T); none missing, all finite.
    task
        Task to learn. None infers it with `infer_task`; several targets make a regression.
    where
        Name of the target in an error.

    Returns
    -------
    y, classes
        Indices of classes (int64) and the names of the classes, or values (float64) and None.

    Raises
    ------
    DataError
        If a regression has a target of text or booleans, or a classification has several targets.

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
