"""``POST .../predict`` and ``POST .../predict/uncertainty``, from bytes to bytes.

Plain ASGI, before FastAPI, because a framework's work on a request takes longer than answering it.
"""

import asyncio
from functools import partial
from operator import attrgetter
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk.admission import Visit
from caveat.service.desk.batching.job import Job
from caveat.service.desk.batching.waiting import late
from caveat.service.desk.desk import Desk
from caveat.service.desk.monitoring.record import Record
from caveat.service.rest import request_id
from caveat.service.rest.content import answers, body
from caveat.service.rest.content.arrays import NPY, NPZ
from caveat.service.rest.content.pieces import LARGE
from caveat.service.rest.content.request import PredictRequest, UncertaintyRequest
from caveat.service.rest.guard import Guard
from caveat.service.rest.off_loop import OffLoop
from caveat.service.rest.problems import is_fault
from caveat.service.rest.recorder import Recorder
from caveat.service.rest.reply import reply
from caveat.service.rest.routes import PREDICT, UNCERTAINTY, Route, find_verb
from caveat.service.rest.scope import path_of

_BYTES = attrgetter("nbytes")

_PAUSE = 0.1
"""Seconds between two looks at a client that may have left."""


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
    desk
        Answers.
    uncertainty_request
        Type of the bodies for uncertainty, with the limits of the service.
    """

    def __init__(
        self, others: Recorder, guard: Guard, desk: Desk, uncertainty_request: type[UncertaintyRequest]
    ) -> None:
        self._others = others
        self._guard = guard
        self._desk = desk
        self._settings = desk.settings
        self._kinds: dict[str | None, type[PredictRequest]] = {
            PREDICT: PredictRequest,
            UNCERTAINTY: uncertainty_request,
        }
        self._off_loop = OffLoop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        found = find_verb(path_of(scope)) if scope["type"] == "http" else None
        if found:
            await self._answer_or_refuse(scope, receive, send, *found)
        else:
            # Only a verb takes options; FastAPI would parse them for every route.
            await self._others({**scope, "query_string": b""}, receive, send)

    async def _answer_or_refuse(
        self, scope: Scope, receive: Receive, send: Send, route: Route, model: dict[str, str]
    ) -> None:
        began = perf_counter()
        headers = dict(scope["headers"])
        name = request_id.of(headers)
        predictor = visit = None
        try:
            key = self._guard.check(scope, route.access)
            if scope["method"] != route.method:
                raise HTTPException(405, headers={"Allow": route.method})
            predictor = self._desk.find(**model)
            with self._desk.admission.visit(key) as visit:
                raw, media_type = await body.read(headers, receive, self._settings.max_bytes, visit)
                visit.come_in()
                due = perf_counter() + self._settings.timeout
                kind = self._kinds[route.verb]
                inputs, asked = await self._read(
                    raw, media_type, scope["query_string"], kind, predictor, due, visit
                )
                until_left = partial(_until_left, receive)
                columns = await self._desk.answer(predictor, inputs, asked, due, visit, until_left)
                wanted = _accepted(headers)
                content = await self._written(predictor, asked, columns, wanted, due)
                await reply(scope, send, content, wanted, name)
        except Exception as error:
            refused = _refused(name, scope["method"], began, route.path, predictor, visit)
            await self._others.refuse(refused, error, scope, receive, send)
            if not is_fault(error):
                # The traceback's frames hold the body and the error itself, a cycle that could live long.
                error.__traceback__ = None
        except BaseException:  # cancelled as the service ends
            record = _refused(name, scope["method"], began, route.path, predictor, visit)
            record.detail = "the service ended before the answer"
            self._others.enter(record, scope)
            raise
        else:
            assert visit.job is not None
            self._others.enter(_answered(name, began, route.path, visit.job, columns), scope)

    async def _read(
        self,
        raw: bytes | bytearray,
        media_type: str,
        query: bytes,
        kind: type[PredictRequest],
        predictor: Predictor,
        due: float,
        visit: Visit,
    ) -> tuple[Inputs, Asked | None]:
        most = self._settings.max_rows

        def check() -> None:
            if perf_counter() > due:
                raise late()

        def read() -> tuple[Inputs, Asked | None]:
            return answers.read(raw, media_type, query, kind, predictor, most, check)

        if len(raw) < LARGE:
            return read()
        with visit.reading():
            return await self._off_loop.run(len(raw), read, due)

    async def _written(
        self, predictor: Predictor, asked: Asked | None, columns: Columns, wanted: str, due: float
    ) -> bytes:
        size = sum(map(_BYTES, columns.values()))
        if size < LARGE:
            return answers.write(predictor, asked, columns, wanted)
        return await self._off_loop.run(size, lambda: answers.write(predictor, asked, columns, wanted), due)


async def _until_left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(_PAUSE)  # some middleware gives the body again and again


def _answered(name: str, began: float, route: str, job: Job, columns: Columns) -> Record:
    """Make the record of an answer; making it last, in one call, halves its cost."""
    manifest, asked = job.predictor.manifest, job.asked
    passes, seed = 0, None
    if asked is not None:
        passes = int(columns["passes"].sum()) if asked.tolerance else job.rows * asked.samples
        seed = asked.seed
    return Record(
        name,
        "POST",  # as any other method is refused
        began,
        route,
        manifest.name,
        manifest.version,
        200,
        "answered",
        perf_counter(),
        job.rows,
        passes,
        seed,
        job.submitted,
        job.began,
        job.ended,
    )


def _refused(
    name: str, method: str, began: float, route: str, predictor: Predictor | None, visit: Visit | None
) -> Record:
    """Begin the record of a request that is refused or fails, with the facts so far."""
    record = Record(name, method, began, route)
    if predictor is not None:
        record.model, record.version = predictor.manifest.name, predictor.manifest.version
    if visit is not None and (job := visit.job) is not None:
        record.rows = job.rows
        record.seed = job.asked.seed if job.asked else None
        record.submitted, record.taken_up = job.submitted, job.began
        record.done = job.ended or perf_counter()  # a job that was cut off ends now
    return record


def _accepted(headers: body.Headers) -> str:
    """Choose the type of the answer: JSON, unless the client accepts an array."""
    accepted = headers.get(b"accept", b"").lower()
    return next((kind for kind in (NPY, NPZ) if kind.encode() in accepted), body.JSON)
