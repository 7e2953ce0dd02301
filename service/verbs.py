"""``POST .../predict`` and ``POST .../predict/uncertainty``, from bytes to bytes.

Plain ASGI, before FastAPI: what a framework does for a request takes longer than its answer.
"""

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from models.signature import InputError
from models.uncertainty import Columns
from service import answers, body, record
from service.arrays import NPY, NPZ
from service.deadlines import Deadlines
from service.endpoints import Endpoints
from service.errors import RequestError, respond
from service.job import Job
from service.paths import PREDICT, UNCERTAINTY, find
from service.protocol import JOB
from service.request import PredictRequest

T = TypeVar("T")

_LARGE = 2**17
"""Bytes from which on JSON is read and written off the event loop."""


class Verbs:
    """Answers both verbs, and passes every other request on."""

    def __init__(self, app: ASGIApp, endpoints: Endpoints) -> None:
        self._app = app
        self._endpoints = endpoints
        self._settings = endpoints.settings
        self._kinds: dict[str, type[PredictRequest]] = {
            PREDICT: PredictRequest,
            UNCERTAINTY: endpoints.uncertainty_request,
        }
        self._deadlines = Deadlines()
        self._off_loop = CapacityLimiter(1)  # what is parsed takes several times the memory of its bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        found = find(scope["path"]) if scope["type"] == "http" else None
        if found:
            record.of(scope).route, verb, model = found
            await self._answer_or_refuse(scope, receive, send, model, self._kinds[verb])
        else:
            await self._app(scope, receive, send)

    async def _answer_or_refuse(
        self, scope: Scope, receive: Receive, send: Send, model: dict[str, str], kind: type[PredictRequest]
    ) -> None:
        try:
            await self._answer(scope, receive, send, model, kind)
        except Exception as error:
            response = await respond(Request(scope), error)
            await response(scope, receive, send)
            if not isinstance(error, RequestError | InputError | HTTPException | ClientDisconnect):
                raise  # so that it is logged

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, model: dict[str, str], kind: type[PredictRequest]
    ) -> None:
        if scope["method"] != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        predictor = self._endpoints.predictor_of(scope, **model)
        kept = record.of(scope)
        with self._endpoints.door.visit() as visit:
            wanted = _accepted(scope["headers"])
            raw, media_type = await body.read(scope["headers"], receive, self._settings.max_bytes, visit)
            visit.come_in()
            start = perf_counter()
            inputs, asked = await self._run(
                len(raw),
                lambda: answers.read(
                    raw, media_type, scope["query_string"], kind, predictor, self._settings.max_rows
                ),
            )
            job = Job(predictor, inputs, asked)
            kept.rows, kept.asked = job.rows, asked
            visit.bring_passes(job.rows * (asked.samples if asked else 1))
            self._endpoints.batcher.submit(job)
            scope["state"][JOB] = job
            try:
                columns = await self._deadlines.wait(job, start + self._settings.timeout)
            finally:
                del scope["state"][JOB]
                kept.timed(job)
            visit.end_work()
            content, told = await self._run(
                sum(column.nbytes for column in columns.values()),
                lambda: answers.write(predictor, asked, columns, wanted),
            )
            kept.passes = _passes_made(job, columns)
            kept.answered(predictor, told)
            await _send(send, content, wanted)

    async def _run(self, size: int, work: Callable[[], T]) -> T:
        """Do work on a number of bytes, off the event loop if they are many."""
        return work() if size < _LARGE else await to_thread.run_sync(work, limiter=self._off_loop)


def _passes_made(job: Job, columns: Columns) -> int:
    if job.asked is None:
        return 0
    return int(columns["passes"].sum()) if job.asked.tolerance else job.rows * job.asked.samples


def _accepted(headers: body.RawHeaders) -> str:
    """Choose the type of the answer: JSON, unless an array is what the client accepts."""
    accepted = next((value for name, value in headers if name == b"accept"), b"")
    return next((kind for kind in (NPY, NPZ) if kind.encode() in accepted.lower()), body.JSON)


async def _send(send: Send, content: bytes, media_type: str) -> None:
    headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # A large one is not over, and its request not out, before the client has taken most of it.
    large = len(content) > _LARGE
    await send({"type": "http.response.body", "body": content, "more_body": large})
    if large:
        await send({"type": "http.response.body"})
