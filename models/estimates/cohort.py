"""Rows that go through the same passes together."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.chance import CHANCE, chances
from caveat.models.answers.uncertainty import Columns, Summary
from caveat.models.bundles.signature import Inputs
from caveat.models.draws.masks import Sampler
from caveat.models.draws.strata import BLOCK
from caveat.models.estimates.errors import stratified
from caveat.models.predictor import Predictor
from caveat.models.tasks.decisions import NOTHING, Decisions
from caveat.models.tasks.facts import CalibrationFacts

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

    def as_calibrated(self, facts: CalibrationFacts) -> bool:
        """Tell whether passes are made as those over the calibration rows were.

        Only then has an uncertainty the law of theirs: it depends on the number of passes and on their
        sampler.
        """
        return (self.samples, self.sampler, self.tolerance) == (facts.samples, Asked.sampler, Asked.tolerance)


class Cohort:
    """Rows that go through the same passes together; a row leaves when it has the passes it needs.

    Rows that are too many for one run are cut into blocks, all of which go through a chunk of passes before
    any goes on: so draws are made once for all rows. The answer to a row depends neither on the other rows
    nor on how rows and passes are cut.

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
        self._predictor = predictor
        self._seed = seed
        self._sampler = sampler
        calibration = predictor.calibration if sampler == "stratified" else None
        self._ratios = None if calibration is None else calibration.facts.error_ratios
        whole = _Block(predictor.task.summary(), np.arange(len(samples)), inputs, samples, tolerance)
        self._ahead = deque([whole])  # blocks that have yet to go through the current chunk
        self._through: list[_Block] = []
        self._least = int(samples.min())
        self._may_stop = bool(tolerance.any())
        self._passed = self._stop = 0  # the passes that end the chunks before, and this one
        self.passes = 0
        """Number of passes made so far, summed over the rows."""

    @property
    def rows(self) -> NDArray[np.intp]:
        """Indices of the rows that have not left yet, ascending."""
        return np.concatenate([_NO_ROWS, *(block.rows for block in (*self._through, *self._ahead))])

    def next_rows(self, most: int) -> int:
        """Give the number of rows of the next step; see `step`."""
        if not self._ahead:
            return 0
        count = len(self._ahead[0].rows)
        return count if self._passed else min(count, most)

    def step(self, most: int) -> tuple[NDArray[np.intp], Columns]:
        """Take a block of rows through the next chunk of passes, as many as one run may hold.

        Parameters
        ----------
        most
            Most rows of a block, which its first step settles.

        Returns
        -------
        rows, columns
            Indices of the rows that left in this step, and their answers: the columns of
            the task's summary, ``passes`` (the number of passes of a row) and, if the model has a
            calibration, the columns of `Calibration.columns` and those that its decisions need.
        """
        block = self._ahead[0]
        if not self._passed and len(block.rows) > most:
            block, rest = block.cut(most, self._predictor.task.summary())
            self._ahead.popleft()
            self._ahead.extendleft((rest, block))
        if self._stop == self._passed:
            self._stop = self._next_stop(block.inputs)
        made = self._predictor.some_passes(block.inputs, self._seed, self._sampler, self._passed, self._stop)
        self._ahead.popleft()  # after a run that failed, the next step makes it again
        block.summary.add(made)
        block.begun = True
        self.passes += (self._stop - self._passed) * len(block.rows)
        rows, columns = self._left(block)
        if len(block.rows):
            self._through.append(block)
        self._go_on()
        return rows, columns

    def leave(self, gone: NDArray[np.bool_]) -> None:
        """Remove rows without an answer; ``gone`` has a flag for each of `rows`."""
        start = 0
        for block in (*self._through, *self._ahead):
            flags = gone[start : start + len(block.rows)]
            start += len(flags)
            if flags.any():
                block.keep(~flags)
        self._through = [block for block in self._through if len(block.rows)]
        self._ahead = deque(block for block in self._ahead if len(block.rows))
        self._go_on()

    def _left(self, block: "_Block") -> tuple[NDArray[np.intp], Columns]:
        """Take the rows out of a block that have the passes they need, with their answers."""
        done = block.samples == self._stop
        if self._checks_tolerance_at(self._stop):
            worst = self._standard_error(block).reshape(len(done), -1).max(axis=1)
            done |= (block.tolerance > 0) & (worst <= block.tolerance)
        count = np.count_nonzero(done)
        if not count:
            return _NO_ROWS, {}
        columns = {**block.summary.columns(), "passes": np.full(len(done), self._stop)}
        if self._ratios is not None:
            columns["standard_error"] = self._standard_error(block).astype(columns["standard_error"].dtype)
        if (calibration := self._predictor.calibration) is not None:
            columns |= calibration.columns(columns)
            if calibration.facts.randomised:
                columns |= {CHANCE: chances(block.inputs, calibration.facts.seed)}
        if count == len(done):
            rows, block.rows = block.rows, _NO_ROWS
            return rows, columns
        rows = block.rows[done]
        block.keep(~done)
        return rows, {name: column[done] for name, column in columns.items()}

    def _standard_error(self, block: "_Block") -> NDArray[np.float64]:
        """Give the standard error of the mean of each of a block's rows, shape (B, ...)."""
        errors = block.summary.standard_error()
        return errors if self._ratios is None else stratified(errors, self._stop, self._ratios)

    def _go_on(self) -> None:
        """Begin the next chunk once all blocks are through with this one."""
        if self._ahead or not self._through:
            return
        self._ahead, self._through = deque(self._through), []
        self._passed = self._stop
        self._least = min(int(block.samples.min()) for block in self._ahead)
        self._may_stop = any(block.tolerance.any() for block in self._ahead)

    def _next_stop(self, inputs: Inputs) -> int:
        at_once = self._predictor.passes_at_once(inputs)
        stop = min(self._passed + at_once, self._least)
        if self._may_stop:
            next_check = max(FIRST_LOOK, (self._passed // BLOCK + 1) * BLOCK)
            stop = min(stop, next_check)
        return stop

    def _checks_tolerance_at(self, passes: int) -> bool:
        return self._may_stop and passes >= FIRST_LOOK and passes % BLOCK == 0


_NO_ROWS: Final = np.arange(0)


@dataclass
class _Block:
    """Rows that run together, with the statistics of their passes."""

    summary: Summary
    rows: NDArray[np.intp]
    inputs: Inputs
    samples: NDArray[np.intp]
    tolerance: NDArray[np.float64]
    begun: bool = False

    def cut(self, count: int, summary: Summary) -> tuple["_Block", "_Block"]:
        """Cut off the first ``count`` rows, before any pass; the rest gets the ``summary``."""

        def part(rows: slice, summary: Summary) -> _Block:
            inputs = {name: array[rows] for name, array in self.inputs.items()}
            return _Block(summary, self.rows[rows], inputs, self.samples[rows], self.tolerance[rows])

        return part(slice(count), self.summary), part(slice(count, None), summary)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop all rows but these."""
        self.rows = self.rows[kept]
        self.inputs = {name: array[kept] for name, array in self.inputs.items()}
        self.samples = self.samples[kept]
        self.tolerance = self.tolerance[kept]
        if self.begun:
            self.summary.keep(kept)


def in_order(pieces: list[tuple[NDArray[np.intp], Columns]]) -> Columns:
    """Join the answers of rows that left in several steps, in the order of the rows."""
    if len(pieces) == 1:
        return pieces[0][1]
    order = np.argsort(np.concatenate([rows for rows, _ in pieces]))
    return {name: np.concatenate([columns[name] for _, columns in pieces])[order] for name in pieces[0][1]}
