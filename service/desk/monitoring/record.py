"""The record of one request, for metrics, log and traces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

ELSEWHERE: Final = "(none)"
"""The route of a request that matched no route, and the model of a request that asked no model."""

Outcome = Literal["answered", "refused", "full", "unready", "late", "left", "failed"]
"""How a request ended: ``full`` and ``unready`` are the service's state, ``failed`` is a fault of it."""


class Trace(NamedTuple):
    """What a trace has of a request besides its record.

    Parameters
    ----------
    parent
        Names and values that carry the caller's trace, as W3C Trace Context has them.
    attributes
        Attributes of the request's span.
    """

    parent: Mapping[str, str]
    attributes: Mapping[str, str | int]


@dataclass(slots=True, eq=False)
class Record:
    """One request. Times are seconds of `perf_counter`; 0 if the request never got that far.

    Parameters
    ----------
    id
        The request's id.
    method
        The protocol's method.
    began
        When it began to be read.
    route
        What was asked for, as the door writes it.
    model, version
        The model that the request asked, as loaded; text from a client never gets here.
    code
        The protocol's status of the answer.
    outcome
        See `Outcome`.
    ended
        When the answer was complete; 0 if the request was refused unread.
    rows
        Number of rows in the request.
    passes
        Number of passes made, summed over the rows.
    seed
        Seed of the passes; None if the request asked for no passes.
    submitted
        When the job was queued.
    taken_up
        When the job's first turn began.
    done
        When the job was over; other jobs may have had turns since ``taken_up``.
    detail
        Why the request was refused or failed.
    polled
        Whether machines poll the route, so that only its faults are logged.
    trace
        See `Trace`; None where there are no traces.
    """

    id: str
    method: str
    began: float
    route: str = ELSEWHERE
    model: str = ELSEWHERE
    version: int | str = ELSEWHERE
    code: int = 500
    outcome: Outcome = "failed"
    ended: float = 0.0
    rows: int = 0
    passes: int = 0
    seed: int | None = None
    submitted: float = 0.0
    taken_up: float = 0.0
    done: float = 0.0
    detail: str | None = None
    polled: bool = False
    trace: Trace | None = None

    @property
    def queue(self) -> float | None:
        """Seconds in the queue, until the first turn or, without a turn, the end; None if never queued."""
        return (self.taken_up or self.done) - self.submitted if self.submitted else None

    @property
    def compute(self) -> float | None:
        """Seconds from the first turn to the end of the job; None if there was no turn."""
        return self.done - self.taken_up if self.taken_up else None

    @property
    def total(self) -> float | None:
        """Seconds from the beginning to the end of the answer; None if the request was refused unread."""
        return self.ended - self.began if self.ended else None
