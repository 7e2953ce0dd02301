"""The body of a request: its type is checked, and its size limited."""

from collections.abc import Mapping

from starlette.types import Receive

from caveat.service.desk.admission import Visit
from caveat.service.desk.refusals import LeftError
from caveat.service.rest.content.arrays import NPY
from caveat.service.rest.problems import RequestError

JSON = "application/json"

Headers = Mapping[bytes, bytes]


async def read(headers: Headers, receive: Receive, limit: int, visit: Visit) -> tuple[bytes | bytearray, str]:
    """Read the body of a request, at most ``limit`` bytes, and its media type.

    Parameters
    ----------
    visit
        Told of bytes before they are held in memory; may refuse them.

    Raises
    ------
    RequestError
        415 if the body is neither JSON nor an array, or is compressed; 413 if it is longer than ``limit``;
        400 if it is empty.
    LeftError
        If the connection ends before the body does.
    """
    media_type = _media_type(headers)
    stated = headers.get(b"content-length", b"")
    announced = int(stated) if stated.isdigit() else 0  # servers check it, and what comes is counted
    if announced > limit:
        raise _too_large(limit)
    visit.announce_bytes(announced)
    content: bytes | bytearray = b""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise LeftError
        chunk, more = message.get("body", b""), message.get("more_body", False)
        length += len(chunk)
        if length > limit:
            raise _too_large(limit)
        visit.bring_bytes(len(chunk))
        if not content:
            content = chunk
        elif chunk:
            if isinstance(content, bytes):
                content = bytearray(content)
            content += chunk  # grows in place: joining 18 MB at the end blocked the event loop for 10 ms
    if not length:
        raise RequestError(400, 'the body is empty; expected JSON such as {"inputs": [...]}')
    return content, media_type


def _media_type(headers: Headers) -> str:
    given = headers.get(b"content-type", b"").decode("latin-1")
    media_type = given if given == JSON else given.partition(";")[0].strip().lower()
    if media_type not in (JSON, NPY):
        raise RequestError(415, f"Content-Type is {given[:100] or 'missing'}; expected {JSON} or {NPY}")
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
    if encoding.lower() != "identity":
        raise RequestError(415, f"Content-Encoding is {encoding[:100]}; expected none")
    return media_type


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"the body is longer than {limit} bytes; send the rows in several requests")
