"""The table of routes is what the service does."""

from typing import Any

import pytest

from caveat.service.desk import refusals
from caveat.service.rest import problems, scope
from caveat.service.rest.routes import ROUTES, Route, access, find_verb
from tests.service.serving import Service

VALUES = {"name": "tabular", "version": "1", "alias": "champion", "asset": "favicon.png"}


@pytest.fixture(scope="module")
def paths(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = service.get("/openapi.json").json()["paths"]
    return found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_is_there_and_documented_as_the_table_says(
    service: Service, paths: dict[str, Any], route: Route
) -> None:
    path = route.path.format(**VALUES)
    answer = service.client.request(route.method, path)
    assert answer.status_code != 405
    assert "there is nothing at" not in answer.text
    wrong = service.client.request("PATCH", path)
    assert wrong.status_code == (403 if route.access == "admins" else 405)
    if route.tag is None:
        assert route.path not in paths
        return
    operation = paths[route.path][route.method.lower()]
    assert (operation["summary"], operation["tags"]) == (route.summary, [route.tag])
    documented = {int(code) for code in operation["responses"] if int(code) >= 400}
    assert documented == {*route.problems, *((401, 403) if route.access == "admins" else ())}
    assert ("requestBody" in operation) == bool(route.verb or route.body)
    assert access(path) == route.access
    assert bool(find_verb(path)) == bool(route.verb)


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/admin", "admins"),
        ("/admin/nothing", "admins"),
        ("/administration", "clients"),
        ("//health/live", "clients"),
        ("/health/live/", "clients"),
        ("/docs/assets/a/b", "clients"),
        ("/docs/assets/../../metrics", "clients"),
        ("/openapiXjson", "clients"),
        ("", "clients"),
    ],
)
def test_what_has_no_route_is_open_to_nobody_without_a_key(path: str, who: str) -> None:
    assert access(path) == who


@pytest.mark.parametrize(
    ("path", "root", "own"),
    [
        ("/predict", "", "/predict"),
        ("/a/predict", "/a", "/predict"),
        ("/predict", "/a", "/predict"),
        ("/ab/predict", "/a", "/ab/predict"),
        ("/docs", "/docs", ""),
        ("/a/", "/a", "/"),
    ],
)
def test_paths_are_those_within_the_application(path: str, root: str, own: str) -> None:
    assert scope.path_of({"path": path, "root_path": root}) == own


def test_every_refusal_of_the_desk_has_a_status() -> None:
    kinds = [kind for kind in vars(refusals).values() if isinstance(kind, type)]
    refused = [kind for kind in kinds if issubclass(kind, refusals.RefusedError)]
    assert len(refused) == 7
    for kind in refused:
        if kind is not refusals.RefusedError:
            closing = kind in (refusals.ClosingError, refusals.LeftError)
            made = kind() if closing else kind("why")  # type: ignore[call-arg]
            assert 400 <= problems.status_of(made) < 600
