"""The routes, in one table: what each is for, who may ask, and what it may answer."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Access = Literal["anyone", "clients", "admins"]
"""Who may ask a route where keys are set; `clients` have a key of either kind."""

PREDICT: Final = "predict"
UNCERTAINTY: Final = "predict/uncertainty"

Verb = Literal["predict", "predict/uncertainty"]

Media = Literal["json", "html", "text"]


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
    media
        What it answers with.
    body
        Name of the schema of its body; a route without one takes no body. Verbs have theirs in
        `caveat.service.rest.documentation.operations`.
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
    media: Media = "json"
    body: str | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of the paths that match."""
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))


def _verbs(path: str, tag: str) -> list[Route]:
    problems = (400, 404, 413, 415, 422, 429, 431, 500, 503, 504)
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
        media="html",
    ),
    Route(
        f"{_VERSION}/card",
        "card_of_version",
        tag="Models",
        summary="Show the card of a version of a model: how far it can be trusted",
        problems=(404, 422, 500, 503),
        media="html",
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
        body="Pointer",
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
        media="text",
        polled=True,
    ),
    Route("/", "root", access="anyone"),
    Route("/openapi.json", "openapi", access="anyone"),
    Route("/docs", "docs", access="anyone"),
    Route(f"{ASSETS}/{{asset}}", "asset", access="anyone"),
)
"""All routes, in the order of the documentation."""

_VERBS: Final = [(route.pattern, route) for route in ROUTES if route.verb]
_ACCESS: Final = [(route.pattern, route.access) for route in ROUTES if route.access != "clients"]

DEFAULT: Final = frozenset(route.path for route in ROUTES if route.verb and "{" not in route.path)
"""Paths that ask the default model."""

POLLED: Final = frozenset(route.path for route in ROUTES if route.polled)
"""Paths of the routes that machines poll."""


@lru_cache(256)
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


def access(path: str) -> Access:
    """Tell who may ask a path; what has no route is for clients, and below /admin for admins.

    >>> access("/health/live"), access("/metrics"), access("/admin/reload"), access("/admin/nothing")
    ('anyone', 'clients', 'admins', 'admins')
    """
    for pattern, who in _ACCESS:
        if pattern.fullmatch(path):
            return who
    return "admins" if path == "/admin" or path.startswith("/admin/") else "clients"
