"""The answer that refuses a request before the application has seen it, and ends its connection."""

import orjson

from caveat.service.rest import request_id
from caveat.service.rest.headers import EVERYWHERE
from caveat.service.rest.problems import MEDIA_TYPE, problem, title


def last_answer(status: int, detail: str, name: str) -> bytes:
    """Write a problem document with its head.

    Parameters
    ----------
    status, detail
        What was wrong.
    name
        The request's id.
    """
    content = orjson.dumps(problem(status, detail, name))
    lines = [
        f"HTTP/1.1 {status} {title(status)}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(content)}",
        *(f"{header}: {value}" for header, value in EVERYWHERE.items()),
        f"{request_id.HEADER}: {name}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content
