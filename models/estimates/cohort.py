"""Rows that go through the same passes together."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs
from caveat.models.draws.masks import Sampler
from caveat.models.draws.strata import BLOCK
from caveat.models.predictor import Predictor, row_blocks
from caveat.models.tasks.decisions import NOTHING, Decisions

FIRST_LOOK: Final = 4 * BLOCK
"""Passes after which a row is first checked against its tolerance; from then on, every `BLOCK` passes."""


@dataclass(frozen=True)
class Asked:
    """What a request asks for its rows.

    Parameters
    ----------
    samples
        Number of passes, at least 2.
    seed, sampler
        Seed and sampler of the draws.
    tolerance
        Standard error of the mean at which a row needs no more passes, in the units of the mean; with 0
        a row gets all passes.
    decisions
        Decisions to add to the statistics.
    """

    samples: int
    seed: int
    sampler: Sampler = "stratified"
    tolerance: float = 0.0
    decisions: Decisions = NOTHING


class Cohort:
    """Rows that go through the same passes together; a row leaves when it has the passes it needs.

    The answer to a row depends neither on the other rows nor on how its passes are cut into steps.

    Parameters
    ----------
    predictor
        Predictor that makes the passes.
    inputs
        B rows.
    seed, sampler
        Seed and sampler of the draws, the same for all rows.
    samples, tolerance
        Number of passes and tolerance of each row, shape (B,); see `Asked`.
    """

    def __init__(
        self,
        predictor: Predictor,
        inputs: Inputs,
        seed: int,
        sampler: Sampler,
        samples: NDArray[np.intp],
        tolerance: NDArray[np.float64],
    ) -> None:
        self.rows: NDArray[np.intp] = np.arange(len(samples))
        """Indices of the rows that have not left yet."""
        self._predictor = predictor
        self._inputs = inputs
        self._seed = seed
        self._sampler = sampler
        self._samples = samples
        self._least = int(samples.min())
        self._tolerance = tolerance
        self._may_stop = bool(tolerance.any())
        self._summary = predictor.task.summary()
        self.passes = 0
        """Number of passes made so far."""

    def step(self) -> tuple[NDArray[np.intp], Columns]:
        """Make the next passes, as many as one run may hold.

        Returns
        -------
        rows, columns
            Indices of the rows that left in this step, and their answers: the columns of
            the task's summary, ``passes`` (the number of passes of a row), and
            the columns of `Calibration.columns` if the model has a calibration.
        """
        start, stop = self.passes, self._next_stop()
        self._summary.add(self._predictor.some_passes(self._inputs, self._seed, self._sampler, start, stop))
        self.passes = stop
        done = self._samples == stop
        if self._checks_tolerance_at(stop):
            done |= (self._tolerance > 0) & (self._summary.standard_error() <= self._tolerance)
        count = np.count_nonzero(done)
        if not count:
            return self.rows[:0], {}
        columns = {**self._summary.columns(), "passes": np.full(len(done), stop)}
        if self._predictor.calibration is not None:
            columns |= self._predictor.calibration.columns(columns)
        if count == len(done):
            rows, self.rows = self.rows, self.rows[:0]
            return rows, columns
        rows = self.rows[done]
        self._keep(~done)
        return rows, {name: column[done] for name, column in columns.items()}

    def leave(self, gone: NDArray[np.bool_]) -> None:
        """Remove rows without an answer; ``gone`` has a flag for each of `rows`."""
        self._keep(~gone)

    def _next_stop(self) -> int:
        stop = min(self.passes + self._predictor.passes_at_once(self._inputs), self._least)
        if self._may_stop:
            next_check = max(FIRST_LOOK, (self.passes // BLOCK + 1) * BLOCK)
            stop = min(stop, next_check)
        return stop

    def _checks_tolerance_at(self, passes: int) -> bool:
        return self._may_stop and passes >= FIRST_LOOK and passes % BLOCK == 0

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        self.rows = self.rows[kept]
        self._inputs = {name: array[kept] for name, array in self._inputs.items()}
        self._samples = self._samples[kept]
        self._least = int(self._samples.min()) if kept.any() else 0
        self._tolerance = self._tolerance[kept]
        self._may_stop = bool(self._tolerance.any())
        if self.passes:
            self._summary.keep(kept)


def estimate(
    predictor: Predictor,
    rows: object,
    samples: int = 100,
    seed: int = 0,
    sampler: Sampler = "stratified",
    tolerance: float = 0.0,
) -> Columns:
    """Answer rows with their uncertainty, in memory that depends on neither the rows' number nor ``samples``.

    Parameters
    ----------
    rows
        B rows as a client writes them, or as arrays: those of the only input, or of each input by its name.
    samples, seed, sampler, tolerance
        See `Asked`.

    Returns
    -------
    Columns
        See `Cohort.step`.

    Raises
    ------
    InputError
        If the rows do not fit the model; the message names the first that does not.
    """
    inputs = predictor.encode(rows)
    blocks = []
    for block in row_blocks(inputs, predictor.rows_at_once(inputs, samples)):
        count = len(next(iter(block.values())))
        cohort = Cohort(predictor, block, seed, sampler, np.full(count, samples), np.full(count, tolerance))
        blocks.append(_run_to_the_end(cohort))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _run_to_the_end(cohort: Cohort) -> Columns:
    pieces = []
    while len(cohort.rows):
        pieces.append(cohort.step())
    return in_order([piece for piece in pieces if len(piece[0])])


def in_order(pieces: list[tuple[NDArray[np.intp], Columns]]) -> Columns:
    """Join the answers of rows that left in several steps, in the order of the rows."""
    if len(pieces) == 1:
        return pieces[0][1]
    order = np.argsort(np.concatenate([rows for rows, _ in pieces]))
    return {name: np.concatenate([columns[name] for _, columns in pieces])[order] for name in pieces[0][1]}
