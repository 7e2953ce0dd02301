"""Every refusal and failure as ``application/problem+json`` (RFC 9457), in one place."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from caveat.models.bundles.signature import InputError
from caveat.service.monitoring import record
from caveat.service.monitoring.record import Record

MEDIA_TYPE = "application/problem+json"

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Names of RFC 9110 that Python took over in 3.13 only."""


class Problem(BaseModel):
    """Why a request got no answer."""

    type: str = Field("about:blank", description="about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The name of the status.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What was wrong, and what to do about it.")
    request_id: str = Field(
        description="What the request is called in the log: its X-Request-Id, or one made."
    )


class InputProblem(Problem):
    """Why a request does not fit: where it goes wrong first, and how."""

    where: str = Field(description="Path of the first offence, such as inputs[3].age.")
    expected: str = Field(description="What should stand there.")
    got: str = Field(description="What stood there.")


class RequestError(Exception):
    """A request that gets no answer.

    Parameters
    ----------
    status
        The HTTP status code.
    detail
        What was wrong, and what to do about it.
    headers
        Headers that the status calls for.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem(status: int, detail: str, request_id: str) -> dict[str, str | int]:
    """Write the members that every problem has."""
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
    """Tell whether an error is one of the service, not of a request or its client."""
    return not isinstance(error, RequestError | InputError | HTTPException | ClientDisconnect)


def add_handlers(app: FastAPI) -> None:
    """Let every failure of an app end as a problem document."""
    kinds = (RequestError, InputError, RequestValidationError, HTTPException, ClientDisconnect, Exception)
    for kind in kinds:
        app.add_exception_handler(kind, respond)


async def respond(request: Request, error: Exception) -> Response:
    """Make the problem document of a failure."""
    kept = record.of(request.scope)
    match error:
        case RequestError():
            return _problem(kept, error.status, error.detail, headers=error.headers)
        case InputError():
            members = {"where": error.where, "expected": error.expected, "got": error.got}
            return _problem(kept, 422, str(error), members)
        case RequestValidationError():  # of a path: FastAPI parses nothing else for us
            fault = error.errors()[0]
            too_long = fault["type"] == "int_parsing_size"
            expected = "a valid integer" if too_long else fault["msg"].removeprefix("Input should be ")
            got = str(fault["input"])[:80]
            return await respond(request, InputError(fault["loc"][-1], expected.partition(",")[0], got))
        case HTTPException(status_code=404):
            return _problem(kept, 404, f"there is nothing at {request.url.path}; /docs shows what there is")
        case HTTPException(status_code=405):
            allowed = (error.headers or {}).get("Allow")
            detail = f"{request.method} is not for {request.url.path}, which takes {allowed}"
            return _problem(kept, 405, detail, headers=error.headers)
        case HTTPException():
            return _problem(kept, error.status_code, error.detail, headers=error.headers)
        case ClientDisconnect():
            kept.cancelled = True
            return _problem(kept, 400, "the connection ended before the body did")
        case _:  # it is logged, with its traceback
            return _problem(kept, 500, "a fault of the service, not of the request; its log says more")


def _problem(
    kept: Record,
    status: int,
    detail: str,
    members: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    kept.detail = detail
    content = problem(status, detail, kept.id) | dict(members or {})
    return Response(orjson.dumps(content), status, headers, MEDIA_TYPE)
