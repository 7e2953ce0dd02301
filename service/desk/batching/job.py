"""Jobs: the rows of one request, from the queue to the answer."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.cohort import Asked, in_order
from caveat.models.predictor import Predictor

UntilLeft = Callable[[], Awaitable[object]]
"""Waits until a client has left."""

Piece = tuple[NDArray[np.intp], Columns]
"""Places of some rows in the request, and the columns of their answers."""


class Job:
    """The rows of one request, and the future of their answer.

    Parameters
    ----------
    predictor
        The model that runs the rows.
    inputs
        Arrays of B rows, by the name of the model's input.
    asked
        The passes to make; None for an answer without dropout.
    until_left
        Waits until the client has left; None for a client that can't leave.
    due
        Deadline, a time of `perf_counter` in seconds.
    """

    def __init__(
        self,
        predictor: Predictor,
        inputs: Inputs,
        asked: Asked | None,
        until_left: UntilLeft | None = None,
        due: float = math.inf,
    ) -> None:
        self.predictor = predictor
        self.inputs = inputs
        self.asked = asked
        self.until_left = until_left
        self.due = due
        self.watch: asyncio.Task[None] | None = None
        """Task that waits until the client has left."""
        self.rows = len(next(iter(inputs.values())))
        self.samples = asked.samples if asked else 1
        """Number of passes over a row; an answer without dropout counts as one."""
        draws = (asked.seed, asked.sampler) if asked else None
        self.key: Hashable = (id(predictor), draws, *predictor.sizes(inputs).items())
        """Jobs with equal keys can run together."""
        self.kind: Hashable = (id(predictor), asked is None)
        """The graph that the job runs; runs of one kind have one `Pace`."""
        self.load = self.load_of(self.samples)
        """Number of values that one row holds in memory."""
        self.most = predictor.working_set
        """Number of values that one run may hold in memory."""
        self.submitted = self.began = self.ended = 0.0
        """When it was queued, first in a turn, and answered or failed, by `perf_counter`; 0 until then."""
        self.number = 0
        """Its number in the order of the queue."""
        self._started = 0  # rows that have been in a turn; turns take rows in order
        self.answer: asyncio.Future[Columns] = asyncio.get_running_loop().create_future()
        self._pieces: list[Piece] = []
        self._arrived = 0

    @property
    def gone(self) -> bool:
        """Whether the job is over: it was answered, it failed, or its client left."""
        return self.answer.done()

    def load_of(self, samples: int) -> int:
        """Count the values that one row holds in memory with ``samples`` passes."""
        return self.predictor.row_load(self.inputs, samples)

    @property
    def fresh(self) -> bool:
        """Whether no row has been in a turn yet."""
        return not self._started

    @property
    def waiting(self) -> int:
        """Number of rows that have not been in a turn."""
        return self.rows - self._started

    @property
    def left(self) -> int:
        """Number of values that the runs of the waiting rows hold."""
        return (self.rows - self._started) * self.load

    @property
    def together(self) -> int:
        """Number of rows whose statistics may be in memory."""
        return max(1, self.most // math.prod(int(size) for size in self.predictor.manifest.output[1:]))

    def take(self, most: int) -> slice:
        """Take the next rows for a turn, ``most`` of them if there are as many."""
        start = self._started
        if not start:
            self.began = perf_counter()
        self._started = min(start + most, self.rows)
        return slice(start, self._started)

    def receive(self, piece: Piece) -> None:
        """Take a piece of the answer; the last piece completes it."""
        self._pieces.append(piece)
        self._arrived += len(piece[0])
        if self._arrived == self.rows and not self.gone:
            self.ended = perf_counter()
            self.answer.set_result(in_order(self._pieces))

    def fail(self, error: Exception) -> None:
        """End the job with an error, unless it is over already."""
        if not self.gone:
            self.ended = perf_counter()
            self.answer.set_exception(error)
