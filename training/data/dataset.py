"""Rows with their targets, in the arrays that the graphs take, and their split into parts."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Input, Inputs
from caveat.training.data.report import Report
from caveat.training.errors import DataError
from caveat.training.tasks import tasks
from caveat.training.tasks.task import Learning
from caveat.training.vocabulary import Task

MIN_ROWS = 20
"""Least number of rows: with fewer, a held-out part is too small to measure anything."""

MIN_ROWS_PER_CLASS = 3
"""Least number of rows of a class that is in each of the three parts; those of rarer classes train."""


@dataclass(frozen=True)
class Dataset:
    """Rows with their targets.

    Parameters
    ----------
    name
        Name of the data set.
    task
        Name of the task that the targets set.
    input
        Signature of the rows.
    x
        Rows, shape (B, ...), of the input's dtype.
    y
        Targets: indices of classes (int64) or values (float64), shape (B,); values of T targets, (B, T).
    target
        Name of the target; None for several targets.
    classes
        Names of the classes, if the targets are classes.
    targets
        Names of several targets.
    public
        Whether rows may be shown to anyone, in a bundle that is handed on.
    report
        How the rows were read, if they come from a table.
    writing
        How the table writes numbers, which held-out rows are read by: ``decimals``, the decimal marks of
        columns that have no point, and ``units``, what stands around the numbers of targets.

    Raises
    ------
    DataError
        If all rows, or those of most classes, are too few to hold some out, or all targets are equal.
    """

    name: str
    task: Task
    input: Input
    x: NDArray[Any]
    y: NDArray[Any]
    target: str | None = None
    classes: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    public: bool = False
    report: Report | None = None
    writing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def fed(self, part: "Part") -> tuple[Inputs, NDArray[Any]]:
        """Give the inputs of a part as a predictor takes them, and its targets."""
        return {self.input.name: part.x}, part.y

    def __post_init__(self) -> None:
        if len(self.y) < MIN_ROWS:
            raise DataError(f"{self.name}: {len(self.y)} rows; expected at least {MIN_ROWS}")
        for target, values in zip(self.targets or (self.target,), np.atleast_2d(self.y.T), strict=True):
            if len(np.unique(values)) == 1:
                kind = self.learning.truth
                raise DataError(f"{self.name}: {target!r} holds one {kind} only; there is nothing to learn")
        of_rare = sum(self.rare.values())
        if 2 * of_rare > len(self.y):
            raise DataError(
                f"{self.name}: {of_rare} of {len(self.y)} rows are of classes of {self.target!r} with fewer "
                f"than {MIN_ROWS_PER_CLASS} rows, such as {next(iter(self.rare))!r}; expected at most half "
                "of them. Names can't be predicted; numbers can with --task regression"
            )

    @property
    def learning(self) -> Learning:
        """How the task is learned."""
        return tasks.named(self.task)

    @property
    def groups(self) -> Mapping[str, NDArray[np.intp]]:
        """The rows of each class by its name; nothing unless the targets are classes."""
        return self.learning.groups(self.classes, self.y)

    @property
    def rare(self) -> Mapping[str, int]:
        """Numbers of rows of the classes that have too few to hold any out."""
        return {name: len(rows) for name, rows in self.groups.items() if len(rows) < MIN_ROWS_PER_CLASS}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the owner should know of the rows, in words."""
        rare = tuple(
            f"class {name!r} has {count} {'row' if count == 1 else 'rows'}, too few to hold one out: "
            "training alone sees it"
            for name, count in self.rare.items()
        )
        return (*(self.report.notes if self.report else ()), *rare)

    @property
    def digest(self) -> str:
        """The sha256 of the rows, their targets, the signature, and the names of targets and classes."""
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
    """The three disjoint parts of a data set."""

    train: Part
    validation: Part
    test: Part


def split(dataset: Dataset, test_size: float, seed: int) -> Split:
    """Split a data set at random, in the same proportions for each class.

    All rows of a rare class train, and all that have a category, or miss a value, as no other training row.

    Parameters
    ----------
    dataset
        The rows to split.
    test_size
        Fraction of the rows to test on, between 0 and 1. The task's defaults say what
        fraction of the others decides when training stops.
    seed
        Seed of the random split.

    Returns
    -------
    Split
        Every part holds at least one row of every class with `MIN_ROWS_PER_CLASS` rows or more.
    """
    generator = np.random.default_rng(seed)
    validation_size = dataset.learning.model.training.validation
    train, validation, test = [], [], []
    for group in dataset.groups.values() or [np.arange(len(dataset.y))]:
        rows = generator.permutation(group)
        if len(rows) < MIN_ROWS_PER_CLASS:
            train.append(rows)
            continue
        tested = min(max(1, round(test_size * len(rows))), len(rows) - 2)
        validated = max(1, round(validation_size * (len(rows) - tested)))
        test.append(rows[:tested])
        validation.append(rows[tested : tested + validated])
        train.append(rows[tested + validated :])
    parts = [np.sort(np.concatenate(rows)) for rows in (train, validation, test)]
    return Split(*(_part(dataset, rows) for rows in _with_all_seen(dataset, *parts)))


def _with_all_seen(dataset: Dataset, *parts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Move rows into the first part that have a category, or miss a value, as no row of it."""
    train, *others = parts
    kinds = [feature.categories is not None or feature.missing for feature in dataset.input.features or ()]
    columns = np.flatnonzero(kinds)
    if not len(columns):
        yield from parts
        return
    moved = np.zeros(len(dataset.y), np.bool_)
    for column, feature in ((column, (dataset.input.features or ())[column]) for column in columns):
        codes = dataset.x[:, column]
        if feature.categories is None:
            codes = np.isnan(codes).astype(np.float64)
        moved |= ~np.isin(np.nan_to_num(codes, nan=-2), np.nan_to_num(codes[train], nan=-2))
    yield np.sort(np.concatenate([train, *(part[moved[part]] for part in others)]))
    yield from (part[~moved[part]] for part in others)


def _part(dataset: Dataset, rows: NDArray[np.int64]) -> Part:
    return Part(dataset.x[rows], dataset.y[rows])
