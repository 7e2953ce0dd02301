import json

import pytest

from tests.service.serving import Service

POINT = [1, 2, 3]
PATIENT = {"age": 61, "smoker": "yes", "dose": 2}


@pytest.mark.parametrize(
    ("body", "place", "detail"),
    [
        ({}, "inputs", "expected rows, got nothing"),
        ({"input": [POINT]}, "input", "expected only the fields inputs, samples, seed"),
        ([POINT], "body", "expected an object with the fields inputs"),
        ({"inputs": [POINT], "sample": 3}, "sample", "expected only the fields inputs, samples, seed"),
        ({"inputs": []}, "inputs", "expected a list of at least one row"),
        ({"inputs": None}, "inputs", "expected a list of at least one row, got null"),
        ({"inputs": "rows"}, "inputs", 'got "rows"'),
        ({"inputs": {}}, "inputs", "got an empty object"),
        ({"inputs": [POINT, [1, 2]]}, "inputs[1]", "expected a list of 3 numbers, got a list of 2"),
        ({"inputs": [POINT, [1, 2, [3]]]}, "inputs[1][2]", "expected a number, got a list of 1"),
        ({"inputs": [POINT, [1, None, 3]]}, "inputs[1][1]", "expected a number, got null"),
        ({"inputs": [POINT, [1, "2", 3]]}, "inputs[1][1]", 'expected a number, got "2"'),
        ({"inputs": [[1, True, 3]]}, "inputs[0][1]", "expected a number, got true"),
        ({"inputs": {"x": [[1, True, 3]]}}, "inputs[0][1]", "expected a number, got true"),
        ({"inputs": {"x": {"x": [[1, True, 3]]}}}, "inputs", "expected a list of at least one row"),
        ({"inputs": {"x": {"x": [POINT]}}}, "inputs", "expected a list of at least one row"),
        ({"inputs": {"x": [POINT], "y": [POINT]}}, "inputs", "expected a list of at least one row"),
        ({"inputs": [[1, 1e39, 3]]}, "inputs[0][1]", "finite number that float32 can hold"),
        ({"inputs": [[1, 10**300, 3]]}, "inputs[0][1]", "finite number that float32 can hold"),
        ({"inputs": [PATIENT]}, "inputs[0]", "expected a list of 3 numbers, got an object"),
        ({"inputs": [POINT], "samples": 1}, "samples", "greater than or equal to 2, got 1"),
        ({"inputs": [POINT], "samples": 1001}, "samples", "less than or equal to 1000, got 1001"),
        ({"inputs": [POINT], "samples": True}, "samples", "a valid integer, got true"),
        ({"inputs": [POINT], "samples": "9"}, "samples", 'a valid integer, got "9"'),
        ({"inputs": [POINT], "samples": None}, "samples", "a valid integer, got null"),
        ({"inputs": [POINT], "seed": -1}, "seed", "greater than or equal to 0 or 'random', got -1"),
        ({"inputs": [POINT], "seed": 2**53}, "seed", "or 'random', got 9007199254740992"),
        ({"inputs": [POINT], "seed": "Random"}, "seed", "a valid integer or 'random', got \"Random\""),
        ({"inputs": [POINT], "seed": 1.5}, "seed", "got 1.5"),
        ({"inputs": [POINT], "seed": [POINT]}, "seed", "got a list of 1"),
        ({"inputs": [POINT], "sampler": "sobol"}, "sampler", "'stratified' or 'independent', got \"sobol\""),
        ({"inputs": [POINT], "tolerance": 0}, "tolerance", "greater than 0, got 0"),
        ({"inputs": [POINT], "tolerance": "0.1"}, "tolerance", 'a valid number, got "0.1"'),
        ({"inputs": "rows"}, "inputs", "expected a list of at least one row"),
        ({"inputs": [POINT]} | {f"a{i}": 1 for i in range(50)}, "a0", "expected only the fields inputs"),
        ({"inputs": [POINT], "error_tolerance": ["a"] * 50}, "error_tolerance", "got a list of 50"),
        ({"inputs": [POINT], "quantiles": ["a"] * 50}, "quantiles", 'expected a valid number, got "a"'),
    ],
)
def test_a_misfit_is_refused_with_its_place(service: Service, body: object, place: str, detail: str) -> None:
    response = service.send("/models/linear/predict/uncertainty", json.dumps(body).encode())
    problem = response.json()
    assert response.status_code == 422
    assert problem["where"] == place
    assert detail in problem["detail"]
    assert problem["detail"] == f"{place}: expected {problem['expected']}, got {problem['got']}"


@pytest.mark.parametrize(
    ("row", "place", "detail"),
    [
        (POINT, "inputs[1]", "expected an object with the fields age, smoker, dose"),
        ({"age": 61, "smoker": "yes"}, "inputs[1].dose", "expected a value, got nothing"),
        (PATIENT | {"weight": 80}, "inputs[1].weight", "only the fields age, smoker, dose"),
        (PATIENT | {"smoker": "maybe"}, "inputs[1].smoker", 'expected one of "no", "yes", got "maybe"'),
        (PATIENT | {"smoker": None}, "inputs[1].smoker", "got null"),
        (PATIENT | {"smoker": ["yes"]}, "inputs[1].smoker", "got a list of 1"),
        (PATIENT | {"age": "61"}, "inputs[1].age", 'expected a number, got "61"'),
        (PATIENT | {"age": True}, "inputs[1].age", "expected a number, got true"),
        (PATIENT | {"age": 1e39}, "inputs[1].age", "finite number that float32 can hold"),
    ],
)
def test_named_features_that_do_not_fit_are_refused_by_name(
    service: Service, row: object, place: str, detail: str
) -> None:
    response = service.ask("/predict", inputs=[PATIENT, row])
    assert response.status_code == 422
    assert response.json()["where"] == place
    assert detail in response.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "01", "'1'"])
def test_nan_and_infinity_are_not_json(service: Service, number: str) -> None:
    response = service.send("/models/linear/predict", b'{"inputs": [[1, 2, %s]]}' % number.encode())
    assert response.status_code == 400
    assert "not JSON" in response.json()["detail"]
    assert "line 1 column" in response.json()["detail"]


@pytest.mark.parametrize("leaf", [b"1", b"true", b'"x"'])
@pytest.mark.parametrize("depth", [70, 1000, 1020, 100_00])
@pytest.mark.parametrize("route", ["/predict", "/models/linear/predict"])
def test_deep_nesting_is_refused(service: Service, route: str, depth: int, leaf: bytes) -> None:
    nested = b"[" * depth + leaf + b"]" * depth
    for body in (b'{"inputs": %s}', b'{"inputs": [{"age": 1, "dose": 1, "smoker": %s}]}'):
        assert service.send(route, body % nested).status_code in (400, 422)


@pytest.mark.parametrize("depth", [200, 254, 255, 256, 1000])
def test_an_option_nested_deep_is_refused(service: Service, depth: int) -> None:
    for name in ("samples", "seed", "sampler", "tolerance", "other"):
        body = b'{"inputs": [[1, 2, 3]], "%s": %s}' % (name.encode(), b"[" * depth + b"]" * depth)
        response = service.send("/models/linear/predict/uncertainty", body)
        assert response.status_code in (400, 422)


def test_a_long_name_is_cut_in_the_error(service: Service) -> None:
    name = "n" * 50_000
    for rows in ([PATIENT | {name: 1}], {name: 1}, [{name: 1}], [PATIENT | {"smoker": name}]):
        response = service.ask("/predict", inputs=rows)
        assert response.status_code == 422
        assert len(response.content) < 2000


def test_lone_surrogates_and_broken_utf8_are_not_json(service: Service) -> None:
    for text in (rb"\ud800", b"\xff", b"\xed\xa0\x80"):
        body = b'{"inputs": [{"age": 1, "dose": 1, "smoker": "' + text + b'"}]}'
        assert service.send("/predict", body).status_code == 400


def test_one_long_string_takes_no_more_memory_than_its_length(service: Service) -> None:
    rows = b'["' + b"a" * 50_000 + b'", 1, 2], ' + b"[1, 2, 3], " * 98 + b"[1, 2, 3]"
    before = service.resident()
    response = service.send("/models/linear/predict", b'{"inputs": [%s]}' % rows)
    assert response.status_code == 422
    assert response.json()["where"] == "inputs[0][0]"
    assert service.resident() - before < 50e6


def test_more_rows_than_the_limit_are_refused(service: Service) -> None:
    assert service.ask("/models/linear/predict", inputs=[POINT] * 100).status_code == 200
    response = service.ask("/models/linear/predict", inputs=[POINT] * 101)
    assert response.status_code == 413
    assert "101 rows; one request may hold 100" in response.json()["detail"]


def test_an_error_behind_the_rows_gives_its_place_in_the_document(service: Service) -> None:
    body = b'{"inputs": [[1, 2, 3], [4, 5, 6]], "samples": 5 "seed": 1}'
    detail = service.send("/models/linear/predict/uncertainty", body).json()["detail"]
    column = 1 + body.index(b'"seed"')
    assert f"column {column}" in detail
