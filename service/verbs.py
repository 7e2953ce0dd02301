"""``POST .../predict`` and ``POST .../predict/uncertainty``, from bytes to bytes.

Plain ASGI applications: what a framework does for a request besides would take longer than its answer.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from models.uncertainty import Columns
from service import answers, body
from service.endpoints import Endpoints
from service.errors import RequestError
from service.job import Job
from service.request import PredictRequest

T = TypeVar("T")

_LARGE = 2**17
"""Bytes from which on JSON is read and written off the event loop."""

_UNWATCHED = 0.05
"""Seconds before it is worth the effort to watch whether a client leaves."""


class VerbRoute(Route):
    """A route that says in the scope which it is, as those of FastAPI do."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this route."""
        match, child = super().matches(scope)
        return match, {**child, "route": self}


class Verb:
    """Answers one verb for every model.

    Parameters
    ----------
    kind
        What a request looks like.
    """

    def __init__(self, endpoints: Endpoints, kind: type[PredictRequest]) -> None:
        self._endpoints = endpoints
        self._settings = endpoints.settings
        self._kind = kind
        self._off_loop = CapacityLimiter(1)  # what is parsed takes several times the memory of its bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        predictor = self._endpoints.predictor_of(scope)
        manifest = predictor.manifest
        with self._endpoints.door.visit() as visit:
            raw = await body.read(scope["headers"], receive, self._settings.max_bytes, visit.bring_bytes)
            start = perf_counter()
            inputs, asked = await self._run(
                len(raw), lambda: answers.read(raw, self._kind, manifest, self._settings.max_rows)
            )
            job = Job(predictor, inputs, asked)
            visit.bring_passes(job.rows * (asked.samples if asked else 1))
            self._endpoints.batcher.submit(job)
            columns = await _answer(job, receive, self._settings.timeout - (perf_counter() - start))
            content = await self._run(
                sum(column.nbytes for column in columns.values()),
                lambda: answers.write(manifest, asked, columns),
            )
            passes = int(columns["passes"].sum()) if asked else 0
            self._endpoints.metrics.worked(manifest.name, manifest.version, job.rows, passes)
            await _send(send, content)

    async def _run(self, size: int, work: Callable[[], T]) -> T:
        """Do work on a number of bytes, off the event loop if they are many."""
        return work() if size < _LARGE else await to_thread.run_sync(work, limiter=self._off_loop)


async def _answer(job: Job, receive: Receive, timeout: float) -> Columns:
    """Wait for the answer of a job, until the deadline and for as long as its client does."""
    loop = asyncio.get_running_loop()
    watch = loop.call_later(min(_UNWATCHED, timeout), _watch, job, receive, timeout - _UNWATCHED)
    try:
        return await job.answer
    finally:
        watch.cancel()


def _watch(job: Job, receive: Receive, timeout: float) -> None:
    attending = asyncio.ensure_future(_attend(job, receive, timeout))
    job.answer.add_done_callback(lambda _: attending.cancel())


async def _attend(job: Job, receive: Receive, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await receive()  # comes back when the client leaves
        job.fail(ClientDisconnect())
    except TimeoutError:
        job.fail(_late())


def _late() -> RequestError:
    return RequestError(
        504, "no answer in time: ask for fewer rows or samples, or start the service with a longer --timeout"
    )


async def _send(send: Send, content: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
