"""The runs of a bundle's graphs on its example: each run is made once, and serves several checks."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caveat.models.bundles.signature import Inputs, sizes
from caveat.models.graphs.memory import values_held
from caveat.models.predictor import Predictor

ROWS = (1, 2, 3, 5, 16)
PASSES = (1, 2, 7)
SEED = 0

_MARGIN = 8
"""Working sets that a run may hold here; a service holds two at most."""

_FEW = 5
"""Rows up to which a run is tried even if a service would cut it."""

_Key = tuple[tuple[int, ...], int]


class Runs:
    """Runs a predictor on the first rows of an example, which repeats if it has too few.

    Parameters
    ----------
    predictor
        The bundle, ready to run.
    rows
        Example inputs.
    """

    def __init__(self, predictor: Predictor, rows: Sequence[Tensor]) -> None:
        self.predictor = predictor
        self._rows = rows
        self._predicted: dict[_Key, NDArray[np.floating]] = {}
        self._sampled: dict[_Key, NDArray[np.floating]] = {}

    def fill(self, least: int) -> None:
        """From now on, give every run at least this number of rows; see `Manifest.least_rows`."""
        self.predictor.manifest = self.predictor.manifest.model_copy(update={"least_rows": least})

    def shapes(self) -> list[tuple[int, int]]:
        """List the numbers of rows and passes to try in one run; a large network holds a part of them.

        All that a service on the CPU runs at once is among them.
        """
        return [(count, passes) for count in ROWS for passes in PASSES if self._can_run(count, passes)]

    def _can_run(self, count: int, passes: int) -> bool:
        predictor, one = self.predictor, self.named(self.tensors(1))
        row, row_pass, mask = values_held(predictor.manifest, sizes(predictor.manifest.inputs, one))
        most = max(_MARGIN * predictor.working_set, 2 * row + 2 * row_pass + mask)
        if count > max(_FEW, *self.counts()) or count * row + passes * (count * row_pass + mask) > most:
            return False
        try:
            self.passes(count, passes)
        except Exception as error:
            at_once = predictor.passes_at_once(self.named(self.tensors(count)))
            served = count in self.counts() and passes <= at_once
            if served or not isinstance(error.__cause__ or error, MemoryError):
                raise
            return False
        return True

    def tensors(self, count: int) -> list[Tensor]:
        """Give the first rows."""
        return [tensor[torch.arange(count) % len(tensor)] for tensor in self._rows]

    def named(self, tensors: Sequence[Tensor]) -> Inputs:
        """Give tensors as inputs of the graphs."""
        names = (spec.name for spec in self.predictor.manifest.inputs)
        return {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}

    def counts(self) -> list[int]:
        """List the numbers of rows to try in one run without dropout; more are cut into several runs."""
        most = self.predictor.rows_at_once(self.named(self.tensors(1)), 1)
        return [count for count in ROWS if count <= most]

    def predict(self, count: int) -> NDArray[np.floating]:
        """Answer the first rows without dropout."""
        key = self._key(count, 0) if count in self.counts() else ((count,), self._least)
        if key not in self._predicted:
            self._predicted[key] = self.predictor.predict(self.named(self.tensors(count)))
        return self._predicted[key]

    def passes(self, count: int, samples: int) -> NDArray[np.floating]:
        """Make the first passes over the first rows in one run; give (samples, count, ...)."""
        key = self._key(count, samples)
        if key not in self._sampled:
            inputs = self.named(self.tensors(count))
            self._sampled[key] = self.predictor.some_passes(inputs, SEED, "independent", 0, samples)
        return self._sampled[key]

    def alone(self, row: int) -> NDArray[np.floating]:
        """Make the first pass over one row, by its number."""
        if row == 0:
            return self.passes(1, 1)
        inputs = self.named([tensor[row : row + 1] for tensor in self.tensors(row + 1)])
        return self.predictor.some_passes(inputs, SEED, "independent", 0, 1)

    def _key(self, count: int, samples: int) -> _Key:
        """Tell runs apart by their rows, with those that fill them up."""
        numbers = [number % len(self._rows[0]) for number in range(count)]
        return (*numbers, *numbers[-1:] * (self._least - count)), samples

    @property
    def _least(self) -> int:
        return self.predictor.manifest.least_rows
