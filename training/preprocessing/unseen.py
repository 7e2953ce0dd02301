"""Categories hidden at random in training, so that a network learns what to make of unknown ones."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from caveat.models.bundles.features import OTHER
from caveat.models.bundles.signature import Input

_RATE: Final = 0.1
"""Probability with which a category is hidden, if few of a row may be."""

_OF_A_ROW: Final = 0.5
"""Most categories of a row that are hidden on average."""


@dataclass(frozen=True)
class Hiding:
    """Turns categories of raw rows into unknown ones at random, from torch's global generator.

    Parameters
    ----------
    columns
        The columns of features that take unknown categories.
    rate
        Probability with which each of their values is hidden.
    """

    columns: tuple[int, ...]
    rate: float

    def __call__(self, rows: Tensor) -> Tensor:
        """Hide categories of rows (B, columns), in a copy; what is missing stays missing."""
        hidden = torch.rand(len(rows), len(self.columns)) < self.rate
        return self._without(rows, hidden)

    def unknown(self, rows: Tensor) -> Tensor:
        """Tell which categories of rows (B, columns) are unknown, shape (B, features)."""
        return rows.index_select(1, torch.tensor(self.columns)) == OTHER

    def _without(self, rows: Tensor, hidden: Tensor) -> Tensor:
        rows = rows.clone()
        known = rows[:, self.columns]
        rows[:, self.columns] = torch.where(hidden & ~known.isnan(), OTHER, known)
        return rows


def hiding(spec: Input) -> Hiding | None:
    """Say what to hide in training on rows of an input; None if no feature takes unknown categories.

    >>> from caveat.models.bundles.features import Feature
    >>> pet = Feature(name="pet", categories=("cat", "dog"), other=True)
    >>> hiding(Input(name="x", dtype="float64", shape=("rows", 2), features=(Feature(name="age"), pet)))
    Hiding(columns=(1,), rate=0.1)
    """
    columns = tuple(place for place, feature in enumerate(spec.features or ()) if feature.other)
    return Hiding(columns, min(_RATE, _OF_A_ROW / len(columns))) if columns else None
