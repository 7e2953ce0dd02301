"""The OpenAPI descriptions of the two verbs, which FastAPI does not route and so can't describe."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from caveat.models.errors import InputError
from caveat.models.tasks import tasks
from caveat.models.tasks.column import Form
from caveat.service.rest.content.arrays import NPY, NPZ
from caveat.service.rest.content.body import JSON
from caveat.service.rest.content.request import PredictRequest
from caveat.service.rest.problems import MEDIA_TYPE, problem
from caveat.service.rest.routes import PREDICT, ROUTES, Route

REF = "#/components/schemas/{model}"

_PROBLEMS = {
    400: "The body is empty, or not JSON.",
    401: "The request has no key, or an unknown one.",
    403: "The key does not open /admin, or no admin keys are set.",
    404: "No such model or version is loaded.",
    409: "The store as it stands does not allow it.",
    413: "The body holds more bytes, or more rows, than one request may.",
    415: "The body is neither application/json nor application/x-npy.",
    422: "The request does not fit the signature of the model, or takes longer than a request may.",
    429: "The service is full, or the key has its share; Retry-After says when to send the request again.",
    431: "The head of the request, with its URL, is longer than 16 KiB.",
    500: "A fault of the service.",
    503: "The models are not loaded yet, or the service is shutting down.",
    504: "The answer was not ready within the timeout of the service.",
}

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"type": "string"}, "Name of a model that GET /models lists."),
    "version": (
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "A version that GET /models lists for the model, or an alias.",
    ),
    "alias": ({"type": "string"}, "A name that stands for a version, such as champion."),
}
"""Schema and description of each path parameter."""


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Describe the error responses of a route."""
    return {code: _problem(code) for code in codes}


def verbs(uncertainty_request: type[BaseModel]) -> dict[str, Any]:
    """Describe both verbs on each of their paths."""
    predictions, estimates = zip(*(pair for task in tasks.every() for pair in task.forms), strict=True)
    return {
        route.path: {
            route.method.lower(): _operation(route, PredictRequest, predictions)
            if route.verb == PREDICT
            else _operation(route, uncertainty_request, estimates)
        }
        for route in ROUTES
        if route.verb
    }


def _operation(route: Route, body: type[BaseModel], forms: Sequence[Form]) -> dict[str, Any]:
    parameters = [name for name in PARAMETERS if f"{{{name}}}" in route.path]
    refusals = {str(code): described for code, described in problems(*route.problems).items()}
    return {
        "tags": [route.tag],
        "summary": route.summary,
        "operationId": f"{route.name}_{parameters[-1] if parameters else 'default'}",
        "parameters": [*map(_parameter, parameters), *_options_of_arrays(body)],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref(body.__name__)}, NPY: _BINARY}},
        "responses": {"200": _answer(forms), **refusals},
    }


def ref(name: str) -> dict[str, str]:
    """Refer to a schema by its name."""
    return {"$ref": REF.format(model=name)}


def _parameter(name: str) -> dict[str, Any]:
    schema, description = PARAMETERS[name]
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


def _answer(forms: Sequence[Form]) -> dict[str, Any]:
    schema = {"anyOf": [ref(form.name) for form in forms]}
    content = {JSON: {"schema": schema}, NPY: _BINARY, NPZ: _BINARY}
    return {"description": "One entry per row.", "content": content}


def _options_of_arrays(body: type[BaseModel]) -> list[dict[str, Any]]:
    """Describe the fields besides the rows, which go into the query when the body is an array."""
    options = body.model_json_schema(ref_template=REF)["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "explode": False,  # lists have commas between their values; an option comes once
            "schema": {
                key: value for key, value in schema.items() if key not in ("title", "description", "default")
            },
            "description": "As the field of a JSON body; for a body that is an array.",
        }
        for name, schema in options.items()
        if name != "inputs"
    ]


def _problem(code: int) -> dict[str, Any]:
    schema = ref("Problem")
    example: dict[str, Any] = {**problem(code, _PROBLEMS[code], "3f9c2a")}
    if code == 422:
        error = InputError("inputs[3].heating", 'one of "gas", "oil"', '"wood"', [3, 7])
        schema = ref("InputProblem")
        example["detail"] = str(error)
        example |= {"where": error.where, "expected": error.expected, "got": error.got, "rows": [*error.rows]}
    content = {MEDIA_TYPE: {"schema": schema, "example": example}}
    return {"description": _PROBLEMS[code], "content": content}
