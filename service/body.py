"""The bytes of a request's body: of the right type, and never more than the limit."""

from starlette.requests import Request

from service.errors import RequestError


async def read(request: Request, limit: int) -> bytes:
    """Read the JSON body of a request as bytes, holding no more than ``limit`` of them.

    Raises
    ------
    RequestError
        415 if it is not plain JSON, 413 if it is longer than ``limit``, 400 if it is empty.
    """
    _check_type(request)
    if int(request.headers.get("content-length", 0)) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise _too_large(limit)
        body += chunk
    if not body:
        raise RequestError(400, 'the body is empty; expected JSON such as {"inputs": [...]}')
    return bytes(body)


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(415, f"Content-Type is {given[:100] or 'missing'}; expected application/json")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise RequestError(415, f"Content-Encoding is {encoding[:100]}; expected none")


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"the body is longer than {limit} bytes; send the rows in several requests")
