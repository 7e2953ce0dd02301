"""What is remembered of one request, for metrics, logs and traces."""

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from starlette.types import Scope

from models.cohort import Asked
from models.predictor import Predictor
from models.uncertainty import Columns
from service.job import Job

ELSEWHERE: Final = "(none)"
"""The route of a request that no route took, and the model of one that asked none."""

_RECORD: Final = "record"
"""Where the state of a request has its record."""

_SCORES: Final = {
    "classification": ("predictive_entropy", "mutual_information", "percentile", "abstain"),
    "regression": ("variance", "percentile", "abstain"),
}
"""The columns of an answer that are counted, of each task."""


@dataclass(slots=True, eq=False)
class Record:
    """One request. Times are on the clock of `perf_counter`, in seconds.

    Parameters
    ----------
    id
        See `service.request_id`.
    method
        Of HTTP.
    began
        When the head was there.
    scheme, path, headers
        As they came.
    route, model, version
        Where it went: names of this service and its models, never a client's.
    rows, passes
        What it brought, and what was made of it: passes of all rows, each row counted by itself.
    asked
        The passes that it asked for, if any.
    submitted
        When its job was put in line.
    queue
        From then to the first turn that took it up, or to its end without one.
    compute
        From its first turn to its last; in between, others may have had turns.
    total
        From the head to the end of the answer; None where it was refused unread.
    code
        Status of the answer.
    detail
        Why it got none.
    cancelled
        Whether its client had left before.
    scores, predictor
        The columns of the answer that are counted, and what has made them.
    """

    id: str
    method: str
    began: float
    scheme: str = "http"
    path: str = ""
    headers: Iterable[tuple[bytes, bytes]] = ()
    route: str = ELSEWHERE
    model: str = ELSEWHERE
    version: int | str = ELSEWHERE
    rows: int = 0
    passes: int = 0
    asked: Asked | None = None
    submitted: float = 0.0
    queue: float | None = None
    compute: float | None = None
    total: float | None = None
    code: int = 500
    detail: str | None = None
    cancelled: bool = False
    scores: Columns | None = None
    predictor: Predictor | None = None

    def timed(self, job: Job) -> None:
        """Take over how long a job waited and ran; nobody waits for it any more."""
        ended = job.ended or perf_counter()
        self.submitted = job.submitted
        self.queue = (job.began or ended) - job.submitted
        self.compute = ended - job.began if job.began else None

    def answered(self, predictor: Predictor, columns: Columns) -> None:
        """Take over what is counted of an answer."""
        self.predictor = predictor
        scores = _SCORES[predictor.manifest.task]
        self.scores = {name: columns[name] for name in scores if name in columns}


def attach(scope: Scope, record: Record) -> None:
    """Let a request have its record."""
    scope.setdefault("state", {})[_RECORD] = record


def of(scope: Scope) -> Record:
    """Give the record of a request."""
    record: Record = scope["state"][_RECORD]
    return record
