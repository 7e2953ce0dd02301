from collections.abc import Iterator

import pytest

from tests.service.serving import Service

ROW = b'{"inputs": [[1, 2, 3]]}'
ROUTE = "/models/linear/predict"


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=utf-8"]
)
def test_json_is_accepted(service: Service, content_type: str) -> None:
    assert service.send(ROUTE, ROW, content_type).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_another_type_is_refused(service: Service, content_type: str) -> None:
    response = service.send(ROUTE, ROW, content_type)
    assert response.status_code == 415
    assert "expected application/json" in response.json()["detail"]


def test_a_compressed_body_is_refused(service: Service) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = service.client.post(ROUTE, content=ROW, headers=headers)
    assert response.status_code == 415
    assert "Content-Encoding is gzip" in response.json()["detail"]


def test_an_empty_body_is_refused(service: Service) -> None:
    response = service.send(ROUTE, b"")
    assert response.status_code == 400
    assert "the body is empty" in response.json()["detail"]


def test_a_body_is_refused_by_its_content_length(service: Service) -> None:
    response = service.send(ROUTE, ROW + b" " * 100_000)
    assert response.status_code == 413
    assert "longer than 100000 bytes" in response.json()["detail"]


def test_a_long_body_without_a_content_length_is_refused_and_never_held(service: Service) -> None:
    def long() -> Iterator[bytes]:
        for _ in range(1000):
            yield b" " * 100_000

    before = service.resident()
    response = service.client.post(ROUTE, content=long(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert service.resident() - before < 20e6


def test_a_body_of_exactly_the_limit_is_accepted(service: Service) -> None:
    assert service.send(ROUTE, ROW.ljust(100_000)).status_code == 200
