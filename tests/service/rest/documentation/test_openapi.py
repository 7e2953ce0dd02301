from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from caveat.models.bundles import example, store
from caveat.models.bundles.bundle import pack
from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import EXAMPLE
from caveat.models.bundles.signature import Input
from caveat.models.errors import InputError
from caveat.service.rest.documentation.openapi import rows_schema
from tests.bundles import linear_regression
from tests.service.serving import Service, serving

PREDICTING = [
    f"{model}/{verb}"
    for model in ("", "/models/{name}", "/models/{name}/versions/{version}")
    for verb in ("predict", "predict/uncertainty")
]


@pytest.fixture(scope="session")
def document(service: Service) -> dict[str, Any]:
    content: dict[str, Any] = service.get("/openapi.json").json()
    return content


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_example_succeeds(service: Service, document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        parameters = [each for each in operation.get("parameters", []) if each["in"] == "path"]
        values = {parameter["name"]: parameter["example"] for parameter in parameters}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        # The models of these tests have no card; tests.service.rest.test_card asks for one that is there.
        # Neither has this client a key to /admin; tests.service.rest.test_admin has one.
        expected = 404 if path.endswith("/card") else 403 if path.startswith("/admin") else 200
        assert service.client.request(method, path.format(**values), json=body).status_code == expected


def test_examples_respect_the_limits(bundles: Path) -> None:
    with serving(bundles, "--default-model", "linear", "--max-samples", "50", "--max-rows", "1") as service:
        document = service.get("/openapi.json").json()
        body = document["paths"]["/predict/uncertainty"]["post"]["requestBody"]["content"]["application/json"]
        assert body["example"]["samples"] == 50
        assert service.ask("/predict/uncertainty", **body["example"]).status_code == 200


def test_every_body_and_answer_has_a_model(document: dict[str, Any]) -> None:
    assert {path for path, _, operation in operations(document) if "requestBody" in operation} == {
        *PREDICTING,
        "/admin/models/{name}/aliases/{alias}",
    }
    for path, _, operation in operations(document):
        assert operation["tags"]
        assert operation["summary"]
        for code, response in operation["responses"].items():
            for kind, content in response["content"].items():
                assert content["schema"] or path == "/metrics"
                assert (kind == "application/problem+json") == (int(code) >= 400)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_routes_of_the_default_model_have_its_schema(document: dict[str, Any]) -> None:
    operation = document["paths"]["/predict/uncertainty"]["post"]
    fields = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    rows, named = fields["inputs"]["anyOf"]
    assert named["properties"] == {"x": rows}
    row = rows["items"]
    assert row["required"] == ["age", "smoker", "dose"]
    assert row["properties"]["smoker"] == {"enum": ["no", "yes"]}
    assert rows["maxItems"] == 100
    assert fields["samples"]["maximum"] == 1000
    assert fields["samples"]["default"] == 100
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/UncertainClasses"}


def test_rows_of_any_shape_have_a_schema() -> None:
    image = Input(name="image", dtype="float32", shape=("rows", 2, 3))
    tokens = Input(name="tokens", dtype="int64", shape=("rows", "length"))
    number, integer = {"type": "number"}, {"type": "integer"}
    schema = rows_schema([image, tokens], max_rows=9)
    assert schema["required"] == ["image", "tokens"]
    row = schema["properties"]["image"]["items"]
    assert row == {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"type": "array", "minItems": 3, "maxItems": 3, "items": number},
    }
    assert schema["properties"]["tokens"]["items"] == {"type": "array", "minItems": 1, "items": integer}


def test_long_rows_are_left_out_of_the_document(tmp_path: Path) -> None:
    bundle = linear_regression(np.full(60_000, 1e-3))
    content = example.write(bundle.manifest.inputs, {"x": np.ones((1, 60_000), np.float32)})
    store.add(tmp_path, pack(bundle.manifest, {**bundle.files, EXAMPLE: content}))
    with serving(tmp_path) as service:
        answer = service.get("/openapi.json")
        assert len(answer.content) < 500_000
        body = answer.json()["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
        assert "example" not in body
        assert service.get("/models/linear").json()["example"] is None
        assert service.ask("/predict", inputs=[[1.0] * 60_000]).status_code == 200


KINDS = [
    Feature(name="f"),
    Feature(name="f", missing=True),
    Feature(name="f", categories=("1", "true", "gas")),
    Feature(name="f", categories=("1", "true", "gas"), missing=True),
    Feature(name="f", categories=("1", "true", "gas"), other=True),
    Feature(name="f", categories=("1", "true", "gas"), missing=True, other=True),
    Feature(name="f", dates="iso"),
    Feature(name="f", dates="%d/%m/%Y", missing=True),
]

VALUES: list[Any] = [
    1,
    1.0,
    2.5,
    True,
    False,
    None,
    "",
    "1",
    "true",
    "gas",
    "wood",
    "2026-03-01",
    [],
    {},
    ["gas"],
    10**15,
]


@pytest.mark.parametrize("feature", KINDS, ids=lambda feature: feature.expected)
def test_what_a_feature_takes_has_the_schema_of_it(feature: Feature) -> None:
    spec = Input(name="x", dtype="float64", shape=("rows", 1), features=(feature,))
    valid = jsonschema_rs.Draft202012Validator(rows_schema([spec], max_rows=9)).is_valid
    for value in VALUES:
        try:
            spec.encode([{"f": value}])
        except InputError:
            # A schema can't tell a date from another text; apart from these it allows what the service takes.
            assert not valid([{"f": value}]) or (feature.dates and isinstance(value, str)), value
        else:
            assert valid([{"f": value}]), value
    (row, *_) = rows_schema([spec], max_rows=9)["anyOf"]
    schema = row["items"]["properties"]["f"]
    for shown in schema.get("examples", []):
        spec.encode([{"f": shown}])
    assert not feature.dates or feature.expected in schema["description"]
