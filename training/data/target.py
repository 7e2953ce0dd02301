"""The values of a target as a network learns them, and the task that they set."""

from typing import Any

from numpy.typing import NDArray

from caveat.training.tasks import tasks
from caveat.training.vocabulary import Task


def infer_task(values: NDArray[Any]) -> Task:
    """Infer the task from the target: text, booleans and a few whole numbers are classes.

    Parameters
    ----------
    values
        Values of the target, shape (B,), or of T targets, (B, T), which make a regression.

    Examples
    --------
    >>> import numpy as np
    >>> infer_task(np.array(["cat", "dog"])), infer_task(np.array([0, 1, 1]))
    ('classification', 'classification')
    >>> infer_task(np.array([0.5, 1.0])), infer_task(np.arange(1000))
    ('regression', 'regression')
    """
    return next(task.name for task in tasks.every() if task.infers(values))


def encode_target(
    values: NDArray[Any], task: Task | None, where: str
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Encode a target as the classes or values that a network learns.

    Parameters
    ----------
    values
        Numbers, booleans or text, shape (B,), or numbers of T targets, (B, T); none missing, all finite.
    task
        Task to learn; None infers it with `infer_task`.
    where
        Name of the target in an error.

    Returns
    -------
    y, classes
        Indices of classes (int64) and the names of the classes, or values (float64) and None.

    Raises
    ------
    DataError
        If the task has no such targets.

    Examples
    --------
    >>> import numpy as np
    >>> encode_target(np.array(["dog", "cat", "dog"]), None, "pet")
    (array([1, 0, 1]), ('cat', 'dog'))
    """
    return tasks.named(task or infer_task(values)).encode(values, where)
