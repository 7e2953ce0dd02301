"""What is remembered of one request, for metrics, logs and traces."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

ELSEWHERE: Final = "(none)"
"""The route of a request that no route took, and the model of one that asked none."""

_RECORD: Final = "record"
"""Where the state of a request has its record."""


@dataclass(slots=True, eq=False)
class Record:
    """One request. Times are on the clock of `perf_counter`, in seconds; 0 where it did not come to that.

    Parameters
    ----------
    id
        See `caveat.service.monitoring.request_id`.
    method
        Of HTTP.
    began
        When the head was there.
    route, model, version
        Where it went: names of this service and its models, never a client's.
    code
        Status of the answer.
    ended
        When the answer was complete; 0 where the request was refused unread.
    rows
        That it brought.
    passes, seed
        What was made of it: passes of all rows, each row counted by itself. None where none were asked for.
    submitted, taken_up, done
        When its job was put in line, had its first turn, and its last; others may have had turns between.
    detail
        Why it got no answer.
    cancelled
        Whether its client had left before.
    scope
        The request, where traces are made of it.
    """

    id: str
    method: str
    began: float
    route: str = ELSEWHERE
    model: str = ELSEWHERE
    version: int | str = ELSEWHERE
    code: int = 500
    ended: float = 0.0
    rows: int = 0
    passes: int = 0
    seed: int | None = None
    submitted: float = 0.0
    taken_up: float = 0.0
    done: float = 0.0
    detail: str | None = None
    cancelled: bool = False
    scope: Scope | None = None

    @property
    def queue(self) -> float | None:
        """Seconds in line, until the first turn or, without one, the end; None where it was never in line."""
        return (self.taken_up or self.done) - self.submitted if self.submitted else None

    @property
    def compute(self) -> float | None:
        """Seconds from the first turn to the last, if there was any."""
        return self.done - self.taken_up if self.taken_up else None

    @property
    def total(self) -> float | None:
        """Seconds from the head to the end of the answer, but for one that was refused unread."""
        return self.ended - self.began if self.ended else None


def attach(scope: Scope, record: Record) -> None:
    """Let a request have its record."""
    scope.setdefault("state", {})[_RECORD] = record


def of(scope: Scope) -> Record:
    """Give the record of a request."""
    record: Record = scope["state"][_RECORD]
    return record
