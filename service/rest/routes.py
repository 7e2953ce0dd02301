"""The routes, in one table: what each is for, who may ask, and what it may answer."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from starlette.types import Scope

Access = Literal["anyone", "clients", "admins"]
"""Who may ask a route where keys are set; `clients` have a key of either kind."""

PREDICT: Final = "predict"
UNCERTAINTY: Final = "predict/uncertainty"

Verb = Literal["predict", "predict/uncertainty"]


@dataclass(frozen=True)
class Route:
    """A route.

    Parameters
    ----------
    path
        The path, with its parameters in braces.
    name
        Name of what answers it; see `caveat.service.rest.app`.
    method
        HTTP method.
    tag, summary
        Group and title of the route in the documentation; an undocumented route has none.
    problems
        Statuses of refusals.
    access
        Who may ask.
    verb
        The verb of a route that asks a model for predictions; None for any other.
    polled
        Whether machines poll it, so that only its failures are logged.
    head
        Whether it takes ``HEAD`` too, as some probes send it.
    """

    path: str
    name: str
    method: str = "GET"
    tag: str | None = None
    summary: str | None = None
    problems: tuple[int, ...] = ()
    access: Access = "clients"
    verb: Verb | None = None
    polled: bool = False
    head: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of the paths that match."""
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path))


def _verbs(path: str, tag: str) -> list[Route]:
    problems = (400, 404, 413, 415, 422, 429, 500, 503, 504)
    uncertain = "Predict with uncertainty, from many stochastic passes"
    return [
        Route(
            f"{path}/{PREDICT}", "predict", "POST", tag, "Predict without dropout", problems, verb="predict"
        ),
        Route(
            f"{path}/{UNCERTAINTY}",
            "uncertainty",
            "POST",
            tag,
            uncertain,
            problems,
            verb="predict/uncertainty",
        ),
    ]


_MODEL: Final = "/models/{name}"
_VERSION: Final = f"{_MODEL}/versions/{{version}}"
_ALIAS: Final = "/admin/models/{name}/aliases/{alias}"

ASSETS: Final = "/docs/assets"

ROUTES: Final = (
    *_verbs("", "Predict"),
    *_verbs(_MODEL, "Models"),
    *_verbs(_VERSION, "Models"),
    Route("/models", "list_models", tag="Models", summary="List the loaded models", problems=(500, 503)),
    Route(
        _MODEL,
        "describe",
        tag="Models",
        summary="Describe a model: its inputs, its answers, its provenance",
        problems=(404, 422, 500, 503),
    ),
    Route(
        _VERSION,
        "describe_version",
        tag="Models",
        summary="Describe a version of a model: its inputs, its answers, its provenance",
        problems=(404, 422, 500, 503),
    ),
    Route(
        f"{_MODEL}/card",
        "card",
        tag="Models",
        summary="Show the card of a model: how far it can be trusted",
        problems=(404, 422, 500, 503),
    ),
    Route(
        f"{_VERSION}/card",
        "card_of_version",
        tag="Models",
        summary="Show the card of a version of a model: how far it can be trusted",
        problems=(404, 422, 500, 503),
    ),
    Route(
        "/health/live",
        "live",
        tag="Operate",
        summary="Liveness: whether the process answers",
        problems=(500,),
        access="anyone",
        polled=True,
        head=True,
    ),
    Route(
        "/health/ready",
        "ready",
        tag="Operate",
        summary="Readiness: whether the models are loaded",
        problems=(500, 503),
        access="anyone",
        polled=True,
        head=True,
    ),
    Route(
        f"{_MODEL}/ready",
        "model_ready",
        tag="Operate",
        summary="Readiness of a model: whether it is loaded",
        problems=(404, 422, 500, 503),
        polled=True,
    ),
    Route(
        "/admin/reload",
        "reload",
        "POST",
        "Operate",
        "Update from the store now",
        (409, 500, 503, 504),
        access="admins",
    ),
    Route(
        _ALIAS,
        "point",
        "PUT",
        "Operate",
        "Point an alias at a version",
        (400, 404, 409, 413, 422, 500, 503, 504),
        access="admins",
    ),
    Route(
        _ALIAS,
        "unpoint",
        "DELETE",
        "Operate",
        "Remove an alias",
        (404, 409, 422, 500, 503, 504),
        access="admins",
    ),
    Route(
        "/metrics",
        "expose_metrics",
        tag="Operate",
        summary="Metrics for Prometheus",
        problems=(500,),
        polled=True,
    ),
    Route("/", "root", access="anyone"),
    Route("/openapi.json", "openapi", access="anyone"),
    Route("/docs", "docs", access="anyone"),
    Route(f"{ASSETS}/{{asset}}", "asset", access="anyone"),
)
"""All routes, in the order of the documentation."""

_VERBS: Final = [(route.pattern, route) for route in ROUTES if route.verb]
_OPEN: Final = [route.pattern for route in ROUTES if route.access == "anyone"]

POLLED: Final = frozenset(route.path for route in ROUTES if route.polled)
"""Paths of the routes that machines poll."""


def path_of(scope: Scope) -> str:
    """Give the path of a request within the application, which may be mounted below another path.

    >>> path_of({"path": "/caveat/predict", "root_path": "/caveat"}), path_of({"path": "/predict"})
    ('/predict', '/predict')
    """
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def find_verb(path: str) -> tuple[Route, dict[str, str]] | None:
    """Find the route of a path that asks for predictions, and the name and version in the path.

    >>> route, model = find_verb("/models/digits/predict")
    >>> route.path, route.verb, model
    ('/models/{name}/predict', 'predict', {'name': 'digits'})
    """
    for pattern, route in _VERBS:
        if found := pattern.fullmatch(path):
            return route, found.groupdict()
    return None


def is_admin(path: str) -> bool:
    """Tell whether a path is for operators, with a route or without one."""
    return path == "/admin" or path.startswith("/admin/")


def access(path: str) -> Access:
    """Tell who may ask a path; a path without a route tells clients alone that there is nothing.

    >>> access("/health/live"), access("/metrics"), access("/admin/nothing")
    ('anyone', 'clients', 'admins')
    """
    if is_admin(path):
        return "admins"
    return "anyone" if any(pattern.fullmatch(path) for pattern in _OPEN) else "clients"
