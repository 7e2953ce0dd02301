"""The minimum of a prediction over HTTP: parse the JSON, multiply once, answer."""

import numpy as np
import orjson
from starlette.types import Receive, Scope, Send

weights = np.random.default_rng(0).random((784, 10), np.float32)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    x = np.array(orjson.loads(body)["inputs"], dtype=np.float32)
    content = orjson.dumps({"outputs": x @ weights}, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
