"""Unusual and malformed requests: each gets its answer, and the next client is served."""

import io
import json
import select
import threading
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import numpy as np
import pytest

from tests.service.process.wire.raw import BODY, JSON, ROUTE, chunked, get, head, post, talk, wire
from tests.service.serving import Service, serving

DEEP = 100_000
PLAIN = "/models/linear/predict"

FRAMING = {
    "a length and chunks": (
        400,
        head(JSON, "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
    ),
    "chunks and a length": (
        400,
        head(JSON, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    ),
    "two lengths": (400, head(JSON, "Content-Length: 5", "Content-Length: 6") + b"abcde"),
    "a length below zero": (400, head(JSON, "Content-Length: -5")),
    "a length with a sign": (400, head(JSON, "Content-Length: +5") + b"abcde"),
    "no length": (400, head(JSON, "Content-Length:")),
    "a length beyond all": (400, head(JSON, f"Content-Length: {'9' * 30}")),
    "a length beyond the limit": (413, head(JSON, f"Content-Length: {'9' * 18}")),
    "a name with a space": (400, head(JSON, "Content-Length : 5") + b"abcde"),
    "another coding": (501, head(JSON, "Transfer-Encoding: xchunked") + b"0\r\n\r\n"),
    "chunked, but not last": (400, head(JSON, "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n"),
    "another coding, then chunks": (501, head(JSON, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n"),
    "chunks twice": (400, head(JSON, "Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n"),
    "two codings": (
        400,
        head(JSON, "Transfer-Encoding: gzip", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    ),
    "a coding with a parameter": (501, head(JSON, "Transfer-Encoding: chunked;a=b") + b"0\r\n\r\n"),
    "chunks of an older protocol": (
        400,
        head(JSON, "Transfer-Encoding: chunked", protocol="HTTP/1.0") + b"0\r\n\r\n",
    ),
    "chunks in capital letters": (
        200,
        head(JSON, "TRANSFER-ENCODING: Chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    ),
    "another type in the trailers": (
        200,
        chunked(b"%x\r\n%b\r\n" % (len(BODY), BODY), b"0\r\nContent-Type: text/plain\r\n\r\n"),
    ),
    "chunks": (200, chunked(b"%x\r\n%b\r\n" % (len(BODY), BODY), b"0\r\n\r\n")),
    "a chunk below zero": (400, chunked(b"-5\r\nabcde\r\n0\r\n\r\n")),
    "a chunk beyond all": (400, chunked(b"f" * 40, b"\r\nabcde")),
    "a chunk of no number": (400, chunked(b"hello\r\n")),
    "an extension of a chunk": (200, chunked(b"%x;a=b\r\n%b\r\n" % (len(BODY), BODY), b"0\r\n\r\n")),
    "an extension without end": (431, chunked(b"%x;" % len(BODY), b"a" * 1_000_000)),
    "trailers without end": (431, chunked(b"1\r\n{\r\n0\r\n", b"a: b\r\n" * 200_000)),
    "too many chunks": (413, chunked(b"1\r\n \r\n" * 100_001, b"0\r\n\r\n")),
}

HEADS = {
    "a long line": (431, get("/models", "X: " + "x" * 17_000)),
    "a line without end": (431, get("/models", "X: " + "x" * 1_000_000)[:-4]),
    "many lines": (431, get("/models", *["X: y"] * 3000)),
    "lines without end": (431, get("/models", *["X: y"] * 200_000)[:-2]),
    "a long path": (431, get("/" + "a" * 17_000)),
    "a path without end": (431, b"GET /" + b"a" * 1_000_000),
    "empty lines without end": (431, b"\r\n" * 100_000),
    "as long as may be": (200, get("/models", "X: " + "x" * 16_300)),
    "a long query": (422, post(path=f"{ROUTE}?samples={'1' * 15_000}")),
    "many fields in the query": (422, post(path=f"{ROUTE}?{'&'.join(f'a{i}=1' for i in range(1500))}")),
    "a folded line": (400, b"GET /models HTTP/1.1\r\nHost: here\r\nX: a\r\n b\r\n\r\n"),
    "bare line feeds": (400, b"GET /models HTTP/1.1\nHost: here\n\n"),
    "NUL in a line": (400, get("/models", "X: a\0b")),
    "Latin-1 in a line": (200, get("/models", "X: \xff")),
    "an older protocol": (200, head(path="/models", method="GET", protocol="HTTP/1.0")),
    "a newer protocol": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "no such protocol": (400, head(path="/models", method="GET", protocol="HTTP/7.3")),
    "two hosts": (400, get("/models", "Host: there")),
    "two types": (400, post(BODY, "Content-Type: text/plain")),
    "two keys": (400, get("/models", "Authorization: Bearer a", "Authorization: Bearer b")),
    "no such method": (400, head(path="/models", method="ASK")),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)),
    "any bytes": (400, bytes(range(256)) * 50),
    "a tunnel": (400, b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n"),
    "a websocket": (200, get("/models", "Connection: Upgrade", "Upgrade: websocket")),
    "what Java's client sends first": (
        200,
        post(BODY, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    ),
    "leave to send": (200, post(BODY, "Expect: 100-continue")),
    "another expectation": (200, post(BODY, "Expect: 200-ok")),
    "a body that is not asked for": (200, get("/models", "Content-Length: 1000") + b"x" * 1000),
}

PATHS = {
    "absolute": (200, get("http://elsewhere/models")),
    "absolute, but no URL": (400, get("http://elsewhere:99999/models")),
    "two slashes": (404, get("//models")),
    "dots": (404, get("/models/../models/linear")),
    "encoded dots": (404, get("/models/%2e%2e/%2e%2e/etc/passwd")),
    "encoded slashes": (404, get("/models/..%2f..%2fetc/card")),
    "files elsewhere": (404, get("/docs/assets/..%2f..%2f..%2fetc%2fpasswd")),
    "a long name of a file": (404, get("/docs/assets/" + "a" * 5000)),
    "NUL": (400, get("/mod\0els")),
    "encoded NUL": (404, get("/docs/assets/a%00b")),
    "encoded NUL in a name": (404, post(path="/models/a%00b/predict")),
    "a name beyond ASCII": (400, "GET /modèls HTTP/1.1\r\n\r\n".encode()),
    "an encoded name beyond ASCII": (404, post(path="/models/%c3%a9/predict")),
    "a wrong encoding": (404, post(path="/models/%zz%ff%/predict")),
    "lines in a path": (404, get("/models/a%0d%0aSet-Cookie:x/")),
    "a slash at the end": (404, get("/models/")),
    "a slash at the end of a verb": (404, post(path=f"{ROUTE}/")),
    "a host that is none": (404, b"GET /nothing HTTP/1.1\r\nHost: [\r\n\r\n"),
    "no path": (404, head(path="*", method="OPTIONS")),
}

BODIES = {
    "deep lists": (400, post(b'{"inputs": %b%b}' % (b"[" * 40_000, b"]" * 40_000))),
    "deep lists that do not end": (400, post(b'{"inputs": ' + b"[" * 90_000)),
    "lists as deep as the parser goes": (422, post(b'{"inputs": %b%b}' % (b"[" * 1000, b"]" * 1000))),
    "deep objects": (422, post(b'{"inputs": %b1%b}' % (b'{"a":' * 900, b"}" * 900))),
    **{
        f"objects {depth} deep": (422, post(b'{"inputs": %b1%b}' % (b'{"a":' * depth, b"}" * depth)))
        for depth in (960, 980, 1000)
    },
    "deep elsewhere": (422, post(b'{"inputs": [[1,2,3]], "samples": %b%b}' % (b"[" * 900, b"]" * 900))),
    "deeper elsewhere": (400, post(b'{"inputs": [[1,2,3]], "seed": %b%b}' % (b"[" * 40_000, b"]" * 40_000))),
    "nothing but depth": (400, post(b"[" * 50_000 + b"]" * 50_000)),
    "NaN": (400, post(b'{"inputs": [[NaN, 2, 3]]}')),
    "1e400": (400, post(b'{"inputs": [[1e400, 2, 3]]}')),
    "a huge integer": (400, post(b'{"inputs": [[%b, 2, 3]]}' % (b"9" * 5000))),
    "a huge integer elsewhere": (400, post(b'{"inputs": [[1, 2, 3]], "seed": %b}' % (b"9" * 5000))),
    "a large seed": (422, post(b'{"inputs": [[1, 2, 3]], "seed": 18446744073709551616}')),
    "half of a pair": (400, post(b'{"inputs": [["\\ud800", 2, 3]]}')),
    "no UTF-8": (400, post(b'{"inputs": [["\xff", 2, 3]]}')),
    "UTF-16": (400, post(BODY.decode().encode("utf-16"))),
    "a mark of the byte order": (400, post(b"\xef\xbb\xbf" + BODY)),
    "NUL": (400, post(BODY + b"\0")),
    "many fields": (422, post(b'{"inputs": [[1,2,3]], %b}' % b",".join(b'"a%d":1' % i for i in range(9000)))),
    "many wrong numbers": (422, post(b'{"inputs": [[1]], "error_tolerance": [%b"a"]}' % (b'"a",' * 20_000))),
    "a bomb": (415, post(BODY, "Content-Encoding: gzip")),
    "a form": (415, head("Content-Type: multipart/form-data; boundary=x", "Content-Length: 1") + b"x"),
    "a type that is none": (415, head("Content-Type: \xff", "Content-Length: 1") + b"x"),
}  # fmt: skip

NAMED = [
    pytest.param(status, data, id=name)
    for group in (FRAMING, HEADS, PATHS, BODIES)
    for name, (status, data) in group.items()
]


@pytest.mark.parametrize(("status", "data"), NAMED)
def test_an_unusual_request_gets_its_answer_and_does_not_affect_others(
    service: Service, status: int, data: bytes
) -> None:
    answer = talk(service, data)
    assert answer.status == status
    if status >= 400:
        assert answer.problem["detail"]
    assert talk(service, post()).status == 200


@pytest.mark.parametrize(
    ("twice", "name"),
    [
        (b'{"samples": 5, "inputs": [[1, 2, 3]], "samples": 7}', "samples"),
        (b'{"inputs": [[9, 9, 9]], "inputs": [[1, 2, 3]]}', "inputs"),
        (b'{"inputs": [[1, 2, 3]], "inputs": []}', "inputs"),
        (b'{"inputs": [], "inputs": [[1, 2, 3]]}', "inputs"),
        (b'{"inputs": [[1, 2, 3]], "\\u0069nputs": [[1, 2, 3]]}', "inputs"),
        (b'{"inputs": {"x": [[1, 2, 3]], "x": [[1, 2, 3]]}}', "x"),
        (b'{"inputs": [[1, 2, 3]], "seed": 1, "sampler": "independent", "seed" : 1}', "seed"),
    ],
)
@pytest.mark.parametrize("rows", [1, 30_000])
def test_two_equal_fields_are_refused(bundles: Path, twice: bytes, name: str, rows: int) -> None:
    many = twice.replace(b"[[1, 2, 3]]", b"[%b]" % b", ".join([b"[1, 2, 3]"] * rows))
    with serving(bundles, "--max-rows", "100000") as service:
        refused = service.send(ROUTE, many)
    assert refused.status_code == 422
    assert refused.json()["where"].endswith(name)
    assert refused.json()["got"] in ("several; send each field once", "a list of 0")


def test_an_answer_is_the_same_in_one_piece_and_in_parts(service: Service) -> None:
    with wire(service) as stays, wire(service) as ends:
        stays.send(post())
        ends.send(post(BODY, "Connection: close"))  # sent by uvicorn, in parts
        whole, parts = stays.answer(), ends.answer()
        assert ends.closed()
        stays.send(post())
        again = stays.answer()
    assert whole.status == parts.status == 200
    assert whole.body == parts.body == again.body
    names = [list(answer.headers) for answer in (whole, parts, again)]
    assert [*names[0], "connection"] == names[1]
    assert names[0] == names[2]
    for name in ("content-type", "content-length", "x-content-type-options"):
        assert whole.headers[name] == parts.headers[name]
    assert whole.headers["x-request-id"] != parts.headers["x-request-id"]


def test_an_answer_has_its_date(service: Service) -> None:
    with wire(service) as connection:
        for wait in (0, 1.5):  # longer than the first lines of an answer are cached
            time.sleep(wait)
            before = time.time()
            connection.send(post())
            made = parsedate_to_datetime(connection.answer().headers["date"]).timestamp()
            assert before - 2.5 < made <= time.time()


def test_requests_in_one_packet_are_answered_in_their_order(service: Service) -> None:
    with wire(service) as client:
        samples = [5, 6, 7] * 20
        asked = b"".join(
            post(b'{"inputs": [[1, 2, 3]], "samples": %d}' % count) + get("/health/live") for count in samples
        )
        client.send(asked + post() + b"what?\r\n\r\n")
        for count in samples:
            assert b'"samples":%d' % count in client.answer().body
            assert client.answer().body == b'{"status":"live"}'
        assert client.answer().status == 200
        assert client.answer().status == 400
        assert client.closed()


def test_a_client_that_sends_endlessly_and_reads_nothing_holds_little_memory(service: Service) -> None:
    before = service.resident()
    with wire(service, seconds=1) as client:
        with suppress(TimeoutError):  # once it is not read any more
            for _ in range(1000):
                client.socket.sendall(get("/models") * 100)
        assert service.resident() - before < 20e6
        assert talk(service, post()).status == 200


def test_an_invalid_request_gets_the_reason_and_ends_its_connection(service: Service) -> None:
    """However much of the request is still to come when it is refused."""
    with wire(service) as client:
        client.send(get("/models", "X: " + "x" * 3_000_000))
        assert "the head is longer than 16384 bytes" in client.answer().problem["detail"]
        assert client.closed()


@pytest.mark.parametrize("size", [7, 700, 10**6])
@pytest.mark.parametrize("chunk", [None, 1, 3, 5000, 10**6])
def test_a_body_of_line_ends_is_read_as_any_other(service: Service, chunk: int | None, size: int) -> None:
    """However it is cut, and whatever follows it."""
    array = io.BytesIO()
    np.save(array, values := np.frombuffer(b"\r\n\r\n" * 600, "<f8").reshape(100, 3))
    body, kind = array.getvalue(), "Content-Type: application/x-npy"
    if chunk is None:
        data = head(kind, f"Content-Length: {len(body)}", path=PLAIN) + body
    else:
        parts = [body[at : at + chunk] for at in range(0, len(body), chunk)] + [b""]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        data = head(kind, "Transfer-Encoding: chunked", path=PLAIN) + framed
    data += get("/health/live") * 3
    with wire(service) as client:
        for at in range(0, len(data), size):
            client.send(data[at : at + size])
        first, *others = [client.answer() for _ in range(4)]
    assert [answer.status for answer in (first, *others)] == [200] * 4
    alone = talk(service, post(json.dumps({"inputs": values[:1].tolist()}).encode(), path=PLAIN))
    assert json.loads(first.body)["mean"] == json.loads(alone.body)["mean"] * 100


def test_a_body_of_tiny_chunks_leaves_others_their_turns(service: Service) -> None:
    """They get answers all the while: without turns, one for each 256 KiB that are read."""
    data = chunked(b"2\r\n\r\n\r\n" * 49_000, b"0\r\n\r\n")
    count = 0
    with wire(service) as client, wire(service) as other:
        sending = threading.Thread(target=client.send, args=(data,))
        sending.start()
        while not select.select([client.socket], [], [], 0)[0]:
            other.send(get("/health/live"))
            assert other.answer().status == 200
            count += 1
        assert client.answer().status in (400, 422)
        sending.join()
    assert count > 20
