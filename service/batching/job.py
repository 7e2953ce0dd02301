"""The rows of one request, on their way to its answer."""

import asyncio
from collections.abc import Hashable
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs, sizes
from caveat.models.estimates.cohort import Asked, in_order
from caveat.models.predictor import Predictor

Piece = tuple[NDArray[np.intp], Columns]
"""Some rows by their place in the request, and their part of the answer."""


class Job:
    """The rows of one request, and the answer that is awaited.

    Parameters
    ----------
    predictor, inputs
        The model that is asked, and B rows for it.
    asked
        The passes to make; none for an answer without dropout.
    """

    def __init__(self, predictor: Predictor, inputs: Inputs, asked: Asked | None) -> None:
        self.predictor = predictor
        self.inputs = inputs
        self.asked = asked
        self.rows = len(next(iter(inputs.values())))
        draws = (asked.seed, asked.sampler) if asked else None
        self.key: Hashable = (id(predictor), draws, *sizes(predictor.manifest.inputs, inputs).items())
        """What jobs must agree in for their rows to run together."""
        self.kind: Hashable = (id(predictor), asked is None)
        """What decides how long a run takes for what it holds: the graph."""
        self.load = predictor.row_load(inputs, asked.samples if asked else 1)
        """Values that the work on one row holds."""
        self.most = predictor.working_set
        """Values that a run may hold."""
        self.submitted = self.began = self.ended = 0.0
        """When it was put in line, first taken up, and answered or failed, by `perf_counter`; 0 before."""
        self._started = 0  # rows that have been taken up; they are taken in their order
        self.answer: asyncio.Future[Columns] = asyncio.get_running_loop().create_future()
        self._pieces: list[Piece] = []
        self._arrived = 0

    @property
    def gone(self) -> bool:
        """Whether nobody waits for more: answered, failed, or its client has left."""
        return self.answer.done()

    @property
    def waiting(self) -> int:
        """Number of rows that have not been taken up."""
        return self.rows - self._started

    def take(self, most: int) -> slice:
        """Take up the next rows."""
        start = self._started
        if not start:
            self.began = perf_counter()
        self._started = min(start + most, self.rows)
        return slice(start, self._started)

    def receive(self, piece: Piece) -> None:
        """Take a part of the answer; with the last one the answer is complete."""
        self._pieces.append(piece)
        self._arrived += len(piece[0])
        if self._arrived == self.rows and not self.gone:
            self.ended = perf_counter()
            self.answer.set_result(in_order(self._pieces))

    def fail(self, error: Exception) -> None:
        """End without an answer, unless it has ended already."""
        if not self.gone:
            self.ended = perf_counter()
            self.answer.set_exception(error)
