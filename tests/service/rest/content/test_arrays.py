"""Requests and answers as arrays in NumPy's formats."""

import io
import random
import struct
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from caveat.service.rest.content.arrays import NPY, NPZ, read_npy
from caveat.service.rest.problems import RequestError
from tests.service.serving import Service

ROUTE = "/models/linear/predict"
POINTS = np.array([[1, 2, 3], [0.5, -1, 2]], np.float32)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def send(service: Service, route: str, body: bytes, accept: str = "*/*", **query: str) -> httpx.Response:
    headers = {"Content-Type": NPY, "Accept": accept}
    return service.client.post(route, content=body, headers=headers, params=query)


def loaded(response: httpx.Response) -> Any:
    assert response.status_code == 200
    return np.load(io.BytesIO(response.content), allow_pickle=False)


@pytest.mark.parametrize(
    "rows", [POINTS, POINTS.astype(np.float64), np.asfortranarray(POINTS), POINTS.astype(">f4")]
)
def test_an_array_gets_the_same_answer_as_its_rows_in_json(service: Service, rows: np.ndarray) -> None:
    asked = service.ask(f"{ROUTE}/uncertainty", inputs=POINTS.tolist(), samples=50, seed=7)
    response = send(service, f"{ROUTE}/uncertainty", npy(rows), samples="50", seed="7")
    assert response.headers["Content-Type"] == "application/json"
    assert response.content == asked.content
    assert send(service, ROUTE, npy(rows)).content == service.ask(ROUTE, inputs=POINTS.tolist()).content


def test_an_array_of_integers_is_read(service: Service) -> None:
    whole = np.array([[1, 2, 3]])
    assert send(service, ROUTE, npy(whole)).content == service.ask(ROUTE, inputs=whole.tolist()).content


def test_an_answer_comes_as_its_main_array_or_as_all_arrays(service: Service) -> None:
    answer = service.ask(f"{ROUTE}/uncertainty", inputs=POINTS.tolist(), seed=3).json()
    mean = loaded(send(service, f"{ROUTE}/uncertainty", npy(POINTS), NPY, seed="3"))
    np.testing.assert_array_equal(mean, answer["mean"])
    every = loaded(send(service, f"{ROUTE}/uncertainty", npy(POINTS), NPZ, seed="3"))
    assert set(every) == set(answer)
    for name, value in answer.items():
        np.testing.assert_array_equal(every[name], value)
    np.testing.assert_allclose(loaded(send(service, ROUTE, npy(POINTS), NPY)), [6.5, 9.0])


def test_a_json_request_may_get_arrays_as_answer(service: Service) -> None:
    patient = {"age": 61, "smoker": "yes", "dose": 2}
    response = service.client.post("/predict", json={"inputs": [patient]}, headers={"Accept": NPZ})
    every = loaded(response)
    assert every["label"].tolist() == ["no"]
    assert (
        response.content
        == service.client.post("/predict", json={"inputs": [patient]}, headers={"Accept": NPZ}).content
    )  # equal requests, equal bytes


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"junk", 400, "not an array as numpy.save writes it"),
        (npy(POINTS)[:-1], 400, "the array's header states 24 bytes; 23 follow"),
        (npy(POINTS) + b"!", 400, "the array's header states 24 bytes; 25 follow"),
        (npy(np.zeros((10**6, 3), np.float32))[:200], 400, "states 12000000 bytes"),
        (npy(np.array([{"a": 1}], object)), 400, "an array of object; expected an array of numbers"),
        (npy(np.array([["a"]])), 400, "an array of <U1; expected an array of numbers"),
        (npy(np.array([[True] * 3])), 400, "an array of bool; expected an array of numbers"),
        (npy(np.float32(1)), 422, "numbers of shape (rows, 3), got float32 of shape ()"),
        (npy(np.zeros((0, 3), np.float32)), 422, "got float32 of shape (0, 3)"),
        (npy(np.zeros((2, 4), np.float32)), 422, "got float32 of shape (2, 4)"),
        (npy(np.array([[1, 2, 3], [1, np.nan, 3]])), 422, "inputs[1][1]: expected a finite number"),
        (npy(np.array([[1, 2, 1e39]])), 422, "inputs[0][2]: expected a finite number that float32 can hold"),
        (npy(np.zeros((101, 3), np.float32)), 413, "101 rows; one request may hold 100"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    service: Service, body: bytes, status: int, detail: str
) -> None:
    response = send(service, ROUTE, body)
    assert response.status_code == status
    assert detail in response.json()["detail"]


def test_a_header_of_any_length_is_refused(service: Service) -> None:
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3)}".ljust(60_000) + b"\n"
    body = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(12)
    assert send(service, ROUTE, body).status_code == 400


PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }"


def described(
    header: str, version: bytes = b"\1\0", length: str = "<H", tail: bytes = np.ones(3, np.float32).tobytes()
) -> bytes:
    head = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + version + struct.pack(length, len(head)) + head + tail


@pytest.mark.parametrize(
    "body",
    [
        described(PLAIN),
        described(PLAIN, b"\2\0", "<I"),
        described("{'shape':(1,3),'descr':'<f4','fortran_order':False}"),
    ],
)
def test_headers_of_other_writers_are_read_too(service: Service, body: bytes) -> None:
    assert send(service, ROUTE, body).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        described(PLAIN, b"\3\0", "<I"),
        described(PLAIN, b"\2\0", "<I").replace(b"v\0\0\0", b"\xff\xff\xff\xff")[:20],
        described("{'descr': '<f4'" + '{"a":' * 1000),
        described("(" * 9000),
        described("-" * 9000 + "1"),
        described("[" * 4000 + "]" * 4000),
        described("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }"),
        described("{'descr': '<f4', 'fortran_order': False, 'shape': (1e9, 3), }"),
        described("{'descr': '<f4', 'fortran_order': False, 'shape': ('a', 3), }"),
        described(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 18}, {'9' * 18}), }}"),
        described(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 5000}, 3), }}"),
        described("{'descr': '<f4', 'fortran_order': False, 'shape': True, }"),
        described("{'descr': '<f4', 'descr': '<f4', 'shape': (1, 3), }"),
        described("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': (1, 2), 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': '(1,', 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': '|O', 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': 'V99999999', 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': '\xff', 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': '<f4', 'fortran_order': '<f4', 'shape': (1, 3), }"),
        described("{'descr': '<f4', 'fortran_order': False, 'shape': (1 3), }"),
        described("{'descr': '<f4', 'fortran_order': False, 'shape': (01, 3), }"),
        described("{'descr': '<f4', 'fortran_order': False, 'shape': (3), }"),
        described("{'descr': '< f4', 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': 'a12', 'fortran_order': False, 'shape': (1, 3), }"),
        described("{'descr': 'float32', 'fortran_order': False, 'shape': (1, 3), }"),
        described(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1, ' * 65}3), }}"),
        described(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1, ' * 3000}3), }}"),
        described(
            f"{{'descr': '|u1', 'fortran_order': True, 'shape': (0, {'999999999, ' * 20}), }}", tail=b""
        ),
        described(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 999999999999999999, 3), }", tail=b""
        ),
        described(PLAIN + " or print(1)"),
        described(" " * 9000 + PLAIN[:-1]),
        b"\x93NUMPY\1\0",
        b"\x93NUMPY\1\0\5",
        b"\x93NUM",
    ],
)
def test_an_invalid_header_is_refused(service: Service, body: bytes) -> None:
    response = send(service, ROUTE, body)
    assert response.status_code == 400
    assert response.json()["detail"]


def test_whatever_the_header_says_an_array_is_read_or_refused() -> None:
    pick = random.Random(1).choice
    sizes = ("0", "1", "2", "3", "999999999", "9" * 18, "007", "-1")
    dtypes = (
        "<f4",
        ">i8",
        "|u1",
        "<f2",
        "<f16",
        "|b1",
        "<U3",
        "|O",
        "<M8",
        "|V9",
        "<i3",
        "a5",
        "?",
        "(2,)f4",
    )
    read = 0
    for _ in range(20_000):
        shape = ", ".join(pick(sizes) for _ in range(pick((0, 1, 2, 3, 20, 32, 33, 64, 65, 100))))
        shape += pick((",", ""))
        header = f"{{'descr': '{pick(dtypes)}', 'fortran_order': {pick((True, False))}, 'shape': ({shape})}}"
        with suppress(RequestError):
            array = read_npy(described(header, tail=bytes(pick((0, 1, 4, 12, 96)))))
            read += 1
            assert array.dtype.kind in "iuf"
    assert read > 50


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("samples=1", "samples"),
        ("seed=x", "seed"),
        ("n=3", "n"),
        ("inputs=3", "inputs"),
        ("&", "query"),
        ("samples=50&samples=60", "samples"),
        ("samples=50&s%61mples=50", "samples"),
        ("seed=1&" * 50, "seed"),
        ("a&" * 7000, "a"),
        *(
            (f"samples={value}", "samples")
            for value in ("1_0", "%2010", "+10", "%2B10", "1e1", "10.0", "010")
        ),
        *((f"samples={value}", "samples") for value in ("%D9%A1%D9%A0", "0x10", "10%00", "true", "")),
        *((f"tolerance={value}", "tolerance") for value in ("nan", "inf", "1e400", ".5", "1.", "1_0", "-0")),
        ("quantiles=" + "0.5," * 3000, "quantiles"),
        ("error_tolerance=" + "1," * 7000, "error_tolerance"),
    ],
)
def test_the_query_is_validated(service: Service, query: str, where: str) -> None:
    response = service.client.post(
        f"{ROUTE}/uncertainty?{query}", content=npy(POINTS), headers={"Content-Type": NPY}
    )
    assert response.status_code == 422
    assert response.json()["where"] == where
    assert len(response.content) < 2000


@pytest.mark.parametrize(
    "text", ["10", "010", "1e1", "10.0", " 10", "1_0", "true", "null", '"10"', "NaN", "-5"]
)
def test_a_number_in_the_query_is_read_as_in_the_body(service: Service, text: str) -> None:
    route = f"{ROUTE}/uncertainty"
    asked = service.client.post(route, json={"inputs": POINTS.tolist()}, params={"samples": text})
    body = b'{"inputs": %b, "samples": %b}' % (orjson.dumps(POINTS.tolist()), text.encode())
    if text != text.strip():  # blanks around a number are no part of it in JSON, but of the text in a query
        assert asked.status_code == 422
        return
    assert (asked.status_code == 200) == (service.send(route, body).status_code == 200)


def test_a_model_with_named_features_refuses_an_array(service: Service) -> None:
    response = send(service, "/predict", npy(POINTS))
    assert response.status_code == 415
    assert "named features; send the rows as JSON" in response.json()["detail"]


def test_the_query_applies_to_json_too_and_the_body_overrides_it(service: Service) -> None:
    route = f"{ROUTE}/uncertainty"
    rows = {"inputs": POINTS.tolist()}
    asked = service.client.post(route, json=rows, params={"samples": "30", "seed": "5"})
    assert asked.content == service.ask(route, **rows, samples=30, seed=5).content
    both = service.client.post(route, json=rows | {"seed": 6}, params={"samples": "30", "seed": "5"})
    assert both.content == service.ask(route, **rows, samples=30, seed=6).content
    assert service.client.post(ROUTE, json=rows, params={"samples": "30"}).status_code == 422
