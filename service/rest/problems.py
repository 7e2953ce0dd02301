"""Refusals as ``application/problem+json`` (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from caveat.models.errors import InputError
from caveat.service.desk.monitoring.record import Outcome, Record
from caveat.service.desk.refusals import (
    ClosingError,
    ConflictError,
    FullError,
    LateError,
    LeftError,
    NotReadyError,
    RefusedError,
)
from caveat.service.desk.versions.catalogue import UnknownModelError
from caveat.service.rest.scope import record_of

MEDIA_TYPE = "application/problem+json"

_LONGEST: Final = 1000
"""Characters of a text in a problem document, and in its line of the log, at most."""

_MOST_ROWS: Final = 100
"""Numbers of rows in a problem document at most; its detail says how many there are."""

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Names of RFC 9110, which Python has since 3.13."""


_KINDS: Final[Mapping[type[RefusedError], tuple[int, Outcome]]] = {
    LeftError: (400, "left"),
    ConflictError: (409, "refused"),
    FullError: (429, "full"),
    NotReadyError: (503, "unready"),
    ClosingError: (503, "unready"),
    LateError: (504, "late"),
}
"""The status and the outcome of each kind of refusal of the desk."""


class Problem(BaseModel):
    """Why a request got no answer."""

    type: str = Field("about:blank", description="about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The name of the status.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What was wrong, and what to do about it.")
    request_id: str = Field(
        description="Id of the request in the log: its X-Request-Id, or an id that the service made."
    )


class InputProblem(Problem):
    """Why a request does not fit: its first error."""

    where: str = Field(description="Path of the first error, such as inputs[3].age.")
    expected: str = Field(description="What the service expected there.")
    got: str = Field(description="What the request has there.")
    rows: list[int] = Field(
        [],
        max_length=_MOST_ROWS,
        description="Numbers of the rows with a category that the model does not know, if that is wrong: of"
        f" the first {_MOST_ROWS}. The detail says how many there are.",
    )


class RequestError(Exception):
    """A request that is refused at this door.

    Parameters
    ----------
    status
        The HTTP status code.
    detail
        What was wrong, and what to do about it.
    headers
        Headers that go with the status.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem(status: int, detail: str, request_id: str) -> dict[str, object]:
    """Write the members of every problem document."""
    return {
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }


def title(status: int) -> str:
    """Give the name of a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def is_fault(error: Exception) -> bool:
    """Tell whether an error is a fault of the service, and not of a request or its client."""
    ours = RequestError | RefusedError | UnknownModelError | InputError
    return not isinstance(error, ours | RequestValidationError | HTTPException)


def status_of(refusal: RefusedError) -> int:
    """Give the HTTP status of a refusal of the desk."""
    return _KINDS[type(refusal)][0]


def headers_of(refusal: RefusedError) -> dict[str, str]:
    """Give the headers that go with a refusal of the desk."""
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    return headers | ({"Connection": "close"} if isinstance(refusal, ClosingError) else {})


def add_handlers(app: FastAPI) -> None:
    """Make an app answer every error with a problem document."""
    kinds = (RequestError, RefusedError, UnknownModelError, InputError, RequestValidationError, HTTPException)
    for kind in (*kinds, Exception):
        app.add_exception_handler(kind, respond)


async def respond(request: Request, error: Exception) -> Response:
    """Make the problem document of an error."""
    kept = record_of(request.scope)
    kept.outcome = _outcome(error)
    match error:
        case RequestError():
            return _problem(kept, error.status, error.detail, headers=error.headers)
        case RefusedError():
            return _problem(kept, status_of(error), error.detail, headers=headers_of(error))
        case UnknownModelError():
            return _problem(kept, 404, str(error))
        case InputError():
            members: dict[str, object] = {"where": error.where, "expected": error.expected, "got": error.got}
            if error.rows:
                members["rows"] = list(error.rows[:_MOST_ROWS])
            return _problem(kept, 422, str(error), members)
        case RequestValidationError():  # of a path parameter: FastAPI parses nothing else here
            fault = error.errors()[0]
            too_long = fault["type"] == "int_parsing_size"
            expected = "a valid integer" if too_long else fault["msg"].removeprefix("Input should be ")
            got = str(fault["input"])[:80]
            return await respond(request, InputError(fault["loc"][-1], expected.partition(",")[0], got))
        case HTTPException(status_code=404):
            docs = f"{request.scope.get('root_path', '')}/docs"
            return _problem(kept, 404, f"there is nothing at {request.url.path}; {docs} shows what there is")
        case HTTPException(status_code=405):
            allowed = (error.headers or {}).get("Allow")
            detail = f"{request.url.path} takes {allowed}, not {request.method}"
            return _problem(kept, 405, detail, headers=error.headers)
        case HTTPException():
            return _problem(kept, error.status_code, error.detail, headers=error.headers)
        case _:  # the recorder logs it, with its traceback
            return _problem(kept, 500, "a fault of the service, not of the request; see the service's log")


def _outcome(error: Exception) -> Outcome:
    if isinstance(error, RefusedError):
        return _KINDS[type(error)][1]
    return "failed" if is_fault(error) else "refused"


def _bounded(text: str) -> str:
    """Cut a long text in its middle: it begins with what was wrong, and ends with what to do about it.

    Half characters, which no encoding has, are escaped.
    """
    text = text.encode(errors="backslashreplace").decode()
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2 - 20
    return f"{text[:half]} [{len(text) - 2 * half} characters left out] {text[-half:]}"


def _problem(
    kept: Record,
    status: int,
    detail: str,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    kept.detail = detail = _bounded(detail)
    content = problem(status, detail, kept.id)
    for name, value in (members or {}).items():
        content[name] = _bounded(value) if isinstance(value, str) else value
    return Response(orjson.dumps(content), status, headers, MEDIA_TYPE)
