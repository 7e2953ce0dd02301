"""A further task is one file for the models, and every route answers it."""

import io
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from tests.service.serving import Service, serving

POINTS = [[1, 2, 3], [0.5, -1, 2], [0, 0, 0]]
ROUTES = ("", "/models/calls", "/models/calls/versions/1")
MEANS = [106, 108.5, 100]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("toy") / "store", module="tests.toy") as running:
        yield running


@pytest.fixture(scope="module")
def schemas(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = service.get("/openapi.json").json()["components"]["schemas"]
    return found


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_answers(service: Service, schemas: dict[str, Any], route: str, rows: int) -> None:
    once = service.ask(f"{route}/predict", inputs=POINTS[:rows]).json()
    jsonschema_rs.validate(schemas["Counts"], once)
    assert once["rate"] == MEANS[:rows]
    asked = {
        "coverage": 0.9,
        "max_error": 0.9,
        "error_tolerance": 300.0,
        "tolerance": 5.0,
        "quantiles": [0.5],
    }
    answer = service.ask(f"{route}/predict/uncertainty", inputs=POINTS[:rows], **asked).json()
    jsonschema_rs.validate(schemas["UncertainCounts"], answer)
    assert {"passes", "interval", "abstain"} <= answer.keys()
    assert answer["notes"].keys() == {"quantiles", "percentile"}
    assert answer["notes"]["quantiles"] == "a count lies between no others"
    assert np.abs(np.subtract(answer["mean"], MEANS[:rows])).max() < 5


@pytest.mark.parametrize("route", ROUTES)
def test_every_content_type_is_read_and_written(service: Service, route: str) -> None:
    plain = service.ask(f"{route}/predict/uncertainty", inputs=POINTS).json()
    body = io.BytesIO()
    np.save(body, np.array(POINTS, np.float32))
    headers = {"Content-Type": "application/x-npy"}
    as_array, as_archive = (
        service.client.post(
            f"{route}/predict/uncertainty", content=body.getvalue(), headers={**headers, "Accept": accepted}
        )
        for accepted in ("application/x-npy", "application/x-npz")
    )
    assert np.load(io.BytesIO(as_array.content)).tolist() == plain["mean"]
    archive = np.load(io.BytesIO(as_archive.content))
    assert set(archive) == set(plain)
    for name in ("mean", "variance", "standard_error", "percentile"):
        assert archive[name].tolist() == plain[name]


def test_it_is_listed_described_counted_and_refused(service: Service) -> None:
    assert [model["task"] for model in service.get("/models").json()["models"]] == ["counts"]
    model = service.get("/models/calls").json()
    assert (model["task"], model["calibration"]["rows"]) == ("counts", 199)
    refused = service.ask("/predict/uncertainty", inputs=POINTS, coverage=0.9, max_error=0.5)
    assert (refused.status_code, refused.json()["where"]) == (422, "error_tolerance")
    assert 'caveat_percentile_bucket{le="100.0",model="calls",version="1"}' in service.get("/metrics").text
