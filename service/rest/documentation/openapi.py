"""The OpenAPI document, with examples that the loaded models can answer."""

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from caveat import __version__
from caveat.models.bundles.example import shown_rows
from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Input
from caveat.models.tasks import tasks
from caveat.service.desk.versions.catalogue import Catalogue
from caveat.service.rest import request_id
from caveat.service.rest.content.request import PredictRequest
from caveat.service.rest.documentation import forms
from caveat.service.rest.documentation.operations import REF, problems, ref, verbs
from caveat.service.rest.documentation.schemas import Pointer
from caveat.service.rest.problems import InputProblem, Problem
from caveat.service.rest.routes import DEFAULT, access
from caveat.service.settings import Settings

DESCRIPTION = """
Predictions from PyTorch dropout networks that say how far they can be trusted.

- **`POST .../predict`** runs the network once, without dropout, and answers with its prediction.
- **`POST .../predict/uncertainty`** runs the network `samples` times, each time without another random choice
  of units, and answers with the mean of these passes and how far they disagree. A classification splits
  `predictive_entropy` (the total) into `expected_entropy` (what the data leave open) and `mutual_information`
  (what the model does not know). A regression splits its `variance` in the same way; with several targets,
  each one's, in the order of `targets` in `GET /models/{name}`.

Equal requests get equal answers: `seed` decides every random choice.

Large rows are faster to send as one array, as `numpy.save` writes it: send `Content-Type: application/x-npy`,
with `samples` and other options in the query of the URL. `Accept: application/x-npy` asks for the main array
of the answer alone, `Accept: application/x-npz` for all of its arrays.
"""

TAGS = [
    {"name": "Predict", "description": "Ask the default model."},
    {"name": "Models", "description": "List the loaded models, and ask one by its name."},
    {"name": "Operate", "description": "Health, metrics and administration of the service."},
]


def shown(catalogue: Catalogue) -> Manifest:
    """Choose the model whose examples are shown: the default model or, without one, the first."""
    return catalogue.find(catalogue.default or next(iter(catalogue.models))).manifest


def document(
    routes: Sequence[BaseRoute],
    catalogue: Catalogue,
    uncertainty_request: type[BaseModel],
    max_rows: int,
) -> dict[str, Any]:
    """Write the document: what the routes declare, with examples and limits from the loaded models."""
    content = get_openapi(
        title="Caveat", version=__version__, description=DESCRIPTION, routes=routes, tags=TAGS
    )
    kinds: list[type[BaseModel]] = [
        PredictRequest,
        uncertainty_request,
        Pointer,
        Problem,
        InputProblem,
    ]
    content["paths"] |= verbs(uncertainty_request)
    _, definitions = models_json_schema([(kind, "validation") for kind in kinds], ref_template=REF)
    content["components"]["schemas"] |= definitions["$defs"] | forms.schemas()
    example = shown(catalogue)
    if catalogue.default is None:  # an example would fail
        content["paths"] = {
            path: methods for path, methods in content["paths"].items() if path not in DEFAULT
        }
    for path, methods in content["paths"].items():
        for operation in methods.values():
            _fill(operation, example, uncertainty_request.model_fields["samples"].default, max_rows)
            if path in DEFAULT:
                _tighten(operation, definitions["$defs"], example, max_rows)
    return content


def tell_of_keys(document: dict[str, Any], settings: Settings) -> None:
    """Document which routes need a key."""
    schemes = {}
    for path, methods in document["paths"].items():
        if access(path) == "admins":
            name, description, refusals = "admin_key", "One of --admin-keys.", problems(401, 403)
        elif settings.api_keys is not None and access(path) == "clients":
            name, description, refusals = "key", "One of --api-keys or of --admin-keys.", problems(401)
        else:
            continue
        schemes[name] = {"type": "http", "scheme": "bearer", "description": description}
        for operation in methods.values():
            operation["security"] = [{name: []}]
            operation["responses"] |= {str(code): refusal for code, refusal in refusals.items()}
    if schemes:
        document["components"]["securitySchemes"] = schemes


def tell_of_ids(document: dict[str, Any]) -> None:
    """Document the header of the request's id, which a request may send and every answer has."""
    name = {
        "name": request_id.HEADER,
        "in": "header",
        "schema": {"type": "string"},
        "description": f"Id of the request in the log, of the form {request_id.PATTERN}. The service makes an"
        " id for a request with none, or with one of another form.",
    }
    sent = {
        "schema": {"type": "string", "pattern": f"^{request_id.PATTERN}$"},
        "description": "Id of the request in the log.",
    }
    for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
        operation.setdefault("parameters", []).append(name)
        for answer in operation["responses"].values():
            answer["headers"] = {**answer.get("headers", {}), request_id.HEADER: sent}


def rows_schema(inputs: Sequence[Input], max_rows: int) -> dict[str, Any]:
    """Write the JSON Schema of the rows that a model takes: of an only input with or without its name."""
    each = {spec.name: _rows_of(spec, max_rows) for spec in inputs}
    named = _object(each)
    return named if len(each) > 1 else {"anyOf": [*each.values(), named]}


def _rows_of(spec: Input, max_rows: int) -> dict[str, Any]:
    if spec.features is not None:
        row = _object({feature.name: _feature(feature) for feature in spec.features})
    else:
        row = {"type": "integer" if spec.dtype == "int64" else "number"}
        for size in reversed(spec.shape[1:]):
            limits = {"minItems": size, "maxItems": size} if isinstance(size, int) else {"minItems": 1}
            row = {"type": "array", "items": row, **limits}
    return {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}


def _fill(operation: dict[str, Any], shown: Manifest, samples: int, max_rows: int) -> None:
    """Add examples that the model can answer, within the limits of the service."""
    rows = shown_rows(shown)
    if isinstance(rows, dict):
        rows = {name: of[:max_rows] for name, of in rows.items()}
    values = {"name": shown.name, "version": shown.version, "alias": "champion"}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["example"] = values[parameter["name"]]
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]
        kind = body["schema"]["$ref"].rpartition("/")[2]
        if kind == "Pointer":
            body["example"] = {"version": shown.version}
        elif rows is not None:
            body["example"] = {"inputs": rows if isinstance(rows, dict) else rows[:max_rows]}
            if kind == "UncertaintyRequest":
                body["example"] |= {"samples": samples, "seed": 0}


def _tighten(operation: dict[str, Any], definitions: dict[str, Any], shown: Manifest, max_rows: int) -> None:
    """Narrow a default model's route to the rows and the answer of that model."""
    body = operation["requestBody"]["content"]["application/json"]
    definition = definitions[body["schema"]["$ref"].rpartition("/")[2]]
    rows = rows_schema(shown.inputs, max_rows)
    rows["description"] = definition["properties"]["inputs"]["description"]
    body["schema"] = {**definition, "properties": {**definition["properties"], "inputs": rows}}
    answer = operation["responses"]["200"]["content"]["application/json"]
    task = tasks.of(shown)
    own = {ref(form.name)["$ref"] for form in (task.prediction, task.estimate)}
    (answer["schema"],) = [form for form in answer["schema"]["anyOf"] if form["$ref"] in own]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _feature(feature: Feature) -> dict[str, Any]:
    """Describe the values of a feature; texts that differ from a category in blanks or capitals fit too."""
    missing = [None, ""] if feature.missing else []
    null = ["null"] if feature.missing else []
    if feature.dates is not None:
        schema = {"type": ["string", *null], "examples": ["2026-03-01", "2026-03-01T12:30:00Z"]}
        return {**schema, "description": f"Expected: {feature.expected}."}
    if feature.categories is None:
        unit = {"description": f"In {feature.unit}."} if feature.unit else {}
        return {"type": ["number", *null] if null else "number", **unit}
    if feature.other:
        some = {} if missing or "" in feature.categories else {"minLength": 1}
        kinds = ["string", "number", "boolean", *null]
        return {"type": kinds, **some, "examples": [*feature.categories, *missing]}
    return {"enum": [*feature.categories, *feature.scalars, *missing]}
