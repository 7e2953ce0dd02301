"""Rows and what is to be learned of them, in the arrays that the graphs take."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Input, Inputs
from caveat.training.data.errors import DataError
from caveat.training.vocabulary import Task

MIN_ROWS = 20
"""With fewer rows, no held-out part says anything."""

MIN_ROWS_PER_CLASS = 3
"""One row of every class in each of the three parts."""

VALIDATION: dict[Task, float] = {"classification": 0.1, "regression": 0.2}
"""The part of the rows not tested on that decides when training stops; in a regression, the noise too."""


@dataclass(frozen=True)
class Dataset:
    """Rows with their targets.

    Parameters
    ----------
    name
        What the data is called.
    input
        The signature of the rows.
    x
        Rows, shape (B, ...), of the input's dtype.
    y
        Targets, shape (B,): indices of classes (int64), or values (float64), several of them (B, T).
    target
        What the targets are called.
    targets
        What each of several is called, instead.
    classes
        Names of the classes; None makes the task a regression.
    public
        Whether rows may be shown to anyone, in a bundle that is handed on.

    Raises
    ------
    DataError
        If there are too few rows to hold some out, in all or of a class, or nothing to tell apart.
    """

    name: str
    input: Input
    x: NDArray[Any]
    y: NDArray[Any]
    target: str | None = None
    classes: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    public: bool = False

    def fed(self, part: "Part") -> tuple[Inputs, NDArray[Any]]:
        """Give a part as a predictor takes it, and its targets."""
        return {self.input.name: part.x}, part.y

    def __post_init__(self) -> None:
        if len(self.y) < MIN_ROWS:
            raise DataError(f"{self.name}: {len(self.y)} rows; expected at least {MIN_ROWS}")
        for target, values in zip(self.targets or (self.target,), np.atleast_2d(self.y.T), strict=True):
            if len(np.unique(values)) == 1:
                kind = "class" if self.classes else "value"
                raise DataError(f"{self.name}: {target!r} holds one {kind} only; there is nothing to learn")
        for name, count in zip(self.classes or (), np.bincount(self.strata), strict=False):
            if count < MIN_ROWS_PER_CLASS:
                raise DataError(
                    f"{self.name}: class {name!r} of {self.target!r} has {count} rows; expected at least "
                    f"{MIN_ROWS_PER_CLASS}, to train on, to validate and to test"
                )

    @property
    def task(self) -> Task:
        """What is to be learned."""
        return "regression" if self.classes is None else "classification"

    @property
    def strata(self) -> NDArray[np.int64]:
        """The class of each row, shape (B,); in a regression all rows are of one."""
        return np.zeros(len(self.y), np.int64) if self.classes is None else self.y

    @property
    def digest(self) -> str:
        """The sha256 of the rows, their targets and what they mean."""
        digest = hashlib.sha256(self.input.model_dump_json().encode())
        digest.update(repr((self.targets or self.target, self.classes)).encode())
        for array in (self.x, self.y):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """Some rows of a data set: ``x`` (B, ...) and ``y`` (B,), or (B, T)."""

    x: NDArray[Any]
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Split:
    """The three parts of a data set; no row is in two of them."""

    train: Part
    validation: Part
    test: Part


def split(dataset: Dataset, test_size: float, seed: int) -> Split:
    """Split a data set at random, each class in the same proportions.

    Parameters
    ----------
    test_size
        The part of the rows to test on, between 0 and 1. Of the others, `VALIDATION` decide when
        training stops.
    seed
        Decides which rows go where.

    Returns
    -------
    Split
        Every part holds a row of every class.
    """
    generator = np.random.default_rng(seed)
    train, validation, test = [], [], []
    for stratum in np.unique(dataset.strata):
        rows = generator.permutation(np.flatnonzero(dataset.strata == stratum))
        tested = min(max(1, round(test_size * len(rows))), len(rows) - 2)
        validated = max(1, round(VALIDATION[dataset.task] * (len(rows) - tested)))
        test.append(rows[:tested])
        validation.append(rows[tested : tested + validated])
        train.append(rows[tested + validated :])
    return Split(*(_part(dataset, np.sort(np.concatenate(rows))) for rows in (train, validation, test)))


def _part(dataset: Dataset, rows: NDArray[np.int64]) -> Part:
    return Part(dataset.x[rows], dataset.y[rows])
