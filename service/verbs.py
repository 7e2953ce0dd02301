"""``POST .../predict`` and ``POST .../predict/uncertainty``, from bytes to bytes.

Plain ASGI, before FastAPI, because a framework's work on a request takes longer than answering it.
"""

from collections.abc import Callable
from operator import attrgetter
from time import perf_counter
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from caveat.models.answers.uncertainty import Columns
from caveat.models.predictor import Predictor
from caveat.service.batching.deadlines import Deadlines
from caveat.service.batching.job import Job
from caveat.service.content import answers, body
from caveat.service.content.arrays import NPY, NPZ
from caveat.service.content.paths import PREDICT, UNCERTAINTY, find
from caveat.service.content.request import PredictRequest
from caveat.service.endpoints import Endpoints
from caveat.service.errors import is_fault
from caveat.service.guard import Guard
from caveat.service.monitoring import request_id
from caveat.service.monitoring.record import Record
from caveat.service.monitoring.recorder import Recorder
from caveat.service.wire.protocol import JOB
from caveat.service.wire.reply import Replies

T = TypeVar("T")

_BYTES = attrgetter("nbytes")

_LARGE = 2**17
"""Bytes from which JSON is read and written on a thread, off the event loop."""


class Verbs:
    """ASGI application that answers both verbs, and passes every other request on.

    The record of an answer is made at the end, in one step: a record that travelled with the request cost
    twice as much.

    Parameters
    ----------
    others
        Answers all other requests, and writes the refusals of both verbs.
    guard
        Checks the keys of requests.
    endpoints
        The application's handlers, for the catalogue, the door, the batcher and the ledger.
    """

    def __init__(self, others: Recorder, guard: Guard, endpoints: Endpoints) -> None:
        self._others = others
        self._guard = guard
        self._endpoints = endpoints
        self._ledger = endpoints.ledger
        self._settings = endpoints.settings
        self._kinds: dict[str, type[PredictRequest]] = {
            PREDICT: PredictRequest,
            UNCERTAINTY: endpoints.uncertainty_request,
        }
        self._deadlines = Deadlines()
        self._replies = Replies()
        self._off_loop = CapacityLimiter(1)  # parsing takes several times the memory of the bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        found = find(scope["path"]) if scope["type"] == "http" else None
        if found:
            await self._answer_or_refuse(scope, receive, send, *found)
        else:
            await self._others(scope, receive, send)

    async def _answer_or_refuse(
        self, scope: Scope, receive: Receive, send: Send, route: str, verb: str, model: dict[str, str]
    ) -> None:
        began = perf_counter()
        headers = dict(scope["headers"])
        name = request_id.of(headers)
        predictor = job = None
        try:
            self._guard.check(scope)
            if scope["method"] != "POST":
                raise HTTPException(405, headers={"Allow": "POST"})
            predictor = self._endpoints.find(**model)
            with self._endpoints.door.visit() as visit:
                raw, media_type = await body.read(headers, receive, self._settings.max_bytes, visit)
                visit.come_in()
                due = perf_counter() + self._settings.timeout
                job = await self._job(raw, media_type, scope["query_string"], self._kinds[verb], predictor)
                visit.bring_passes(job.rows * (job.asked.samples if job.asked else 1))
                columns = await self._wait(scope, job, due)
                visit.end_work()
                wanted = _accepted(headers)
                content = await self._content(job, columns, wanted)
                await self._replies.send(send, content, wanted, name)
        except Exception as error:
            refused = _refused(name, scope["method"], began, route, predictor, job)
            await self._others.refuse(refused, error, scope, receive, send)
            if not is_fault(error):
                # The traceback's frames hold the body and the error itself, a cycle that could live long.
                error.__traceback__ = None
        except BaseException:  # cancelled as the service ends
            self._ledger.enter(_refused(name, scope["method"], began, route, predictor, job), scope)
            raise
        else:
            self._ledger.enter(_answered(name, began, route, job, columns), scope)

    async def _job(
        self,
        raw: bytes | bytearray,
        media_type: str,
        query: bytes,
        kind: type[PredictRequest],
        predictor: Predictor,
    ) -> Job:
        most = self._settings.max_rows
        inputs, asked = await self._run(
            len(raw), lambda: answers.read(raw, media_type, query, kind, predictor, most)
        )
        return Job(predictor, inputs, asked)

    async def _wait(self, scope: Scope, job: Job, due: float) -> Columns:
        state = scope.setdefault("state", {})
        state[JOB] = job
        try:
            self._endpoints.batcher.submit(job)
            return await self._deadlines.wait(job, due)
        finally:
            del state[JOB]

    async def _content(self, job: Job, columns: Columns, wanted: str) -> bytes:
        size = sum(map(_BYTES, columns.values()))
        return await self._run(size, lambda: answers.write(job.predictor, job.asked, columns, wanted))

    async def _run(self, size: int, work: Callable[[], T]) -> T:
        """Do ``work`` on ``size`` bytes, off the event loop if they are many."""
        return work() if size < _LARGE else await to_thread.run_sync(work, limiter=self._off_loop)


def _answered(name: str, began: float, route: str, job: Job, columns: Columns) -> Record:
    """Make the record of an answer; making it last, in one call, halves its cost."""
    manifest, asked = job.predictor.manifest, job.asked
    passes, seed = 0, None
    if asked is not None:
        passes = int(columns["passes"].sum()) if asked.tolerance else job.rows * asked.samples
        seed = asked.seed
    return Record(
        name,
        "POST",
        began,
        route,
        manifest.name,
        manifest.version,
        200,
        perf_counter(),
        job.rows,
        passes,
        seed,
        job.submitted,
        job.began,
        job.ended,
    )


def _refused(
    name: str, method: str, began: float, route: str, predictor: Predictor | None, job: Job | None
) -> Record:
    """Begin the record of a request that is refused or fails, with the facts so far."""
    record = Record(name, method, began, route)
    if predictor is not None:
        record.model, record.version = predictor.manifest.name, predictor.manifest.version
    if job is not None:
        record.rows = job.rows
        record.seed = job.asked.seed if job.asked else None
        record.submitted, record.taken_up = job.submitted, job.began
        record.done = job.ended or perf_counter()  # a job that was cut off ends now
    return record


def _accepted(headers: body.Headers) -> str:
    """Choose the type of the answer: JSON, unless the client accepts an array."""
    accepted = headers.get(b"accept", b"").lower()
    return next((kind for kind in (NPY, NPZ) if kind.encode() in accepted), body.JSON)
