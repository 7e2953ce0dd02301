"""Aliases of versions, in requests and in the store."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from caveat.models.bundles import aliases, store
from tests.service.desk.versions.test_rollout import POINT, answering, biased, failing, reload
from tests.service.serving import Service, caveat, operated, until

CHAMPION = "/models/linear/versions/champion"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in (1, 2):
        store.add(tmp_path / "store", biased(version))
    return tmp_path / "store"


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    with operated(folder, "--poll", "0") as running:
        yield running


def put(
    service: Service, alias: str, body: bytes | dict[str, object], name: str = "linear"
) -> tuple[int, str]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = service.client.put(f"/admin/models/{name}/aliases/{alias}", content=content)
    return response.status_code, response.json().get("detail", "")


def test_an_alias_works_like_a_version_number(service: Service, folder: Path) -> None:
    assert service.ask(f"{CHAMPION}/predict", inputs=POINT).status_code == 404
    for version in (1, 2, 1):
        assert put(service, "champion", {"version": version}) == (200, "")
        assert answering(service, f"{CHAMPION}/predict") == version
        assert service.get(CHAMPION).json()["version"] == version
        assert service.get(f"{CHAMPION}/card").status_code == 404  # the model has no card
        assert service.ask(f"{CHAMPION}/predict/uncertainty", inputs=POINT).json()["version"] == version
        assert aliases.read(folder / "linear") == {"champion": version}
    assert service.get("/models").json()["models"][0]["aliases"] == {"champion": 1}
    assert service.get("/models/linear").json()["aliases"] == {"champion": 1}
    assert answering(service) == 2
    counted = service.get("/metrics").text
    assert 'route="/models/{name}/versions/{version}/predict",version="1"' in counted
    assert service.client.delete("/admin/models/linear/aliases/champion").json() == {
        "name": "linear",
        "aliases": {},
    }
    assert service.ask(f"{CHAMPION}/predict", inputs=POINT).status_code == 404
    assert service.client.delete("/admin/models/linear/aliases/champion").status_code == 404


def test_the_command_asks_an_alias(service: Service, tmp_path: Path) -> None:
    put(service, "champion", {"version": 1})
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(POINT))
    flags = ("--url", service.url, "--model", "linear", "--version")
    assert "linear version 1" in caveat("predict", rows, *flags, "champion").stdout
    assert "linear version 2" in caveat("predict", rows, *flags, "2").stdout
    assert "no alias 'other'" in caveat("predict", rows, *flags, "other").stderr


def test_invalid_aliases_are_refused(service: Service, folder: Path) -> None:
    assert put(service, "champion", {"version": 3}) == (404, "no version 3 of linear; there is 1 or 2")
    assert put(service, "champion", {"version": 1}, name="none")[0] == 404
    for alias in ("3", "Champion", "a.b", "x" * 65):
        status, detail = put(service, alias, {"version": 1})
        assert (status, detail.startswith("alias: expected a name")) == (422, True)
    for body in ({"version": "1"}, {"version": 0}, {"version": 1, "more": 2}, [1], {}):
        assert put(service, "champion", json.dumps(body).encode())[0] == 422
    twice = put(service, "champion", b'{"version": 1, "version": 2}')
    assert twice == (422, "version: expected one value, got several; send each field once")
    assert put(service, "champion", b"{")[0] == 400
    assert put(service, "champion", b" " * 5000)[0] == 413
    assert not (folder / "linear" / aliases.FILE).exists()
    assert answering(service) == 2


def test_an_unreadable_file_of_aliases_is_not_overwritten(service: Service, folder: Path) -> None:
    path = folder / "linear" / aliases.FILE
    path.write_text("{")
    status, detail = put(service, "champion", {"version": 1})
    assert (status, f"{path}: expected an object" in detail) == (409, True)
    assert path.read_text() == "{"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_store_is_a_conflict(service: Service, folder: Path) -> None:
    (folder / "linear").chmod(0o555)
    status, detail = put(service, "champion", {"version": 1})
    (folder / "linear").chmod(0o755)
    assert (status, "the service can't write there" in detail) == (409, True)


def test_the_bundled_models_take_no_aliases() -> None:
    with operated() as service:
        status, detail = put(service, "champion", {"version": 1}, name="digits")
    assert (status, "serve a store of your own" in detail) == (409, True)


def test_a_file_in_the_store_moves_aliases(folder: Path) -> None:
    path = folder / "linear" / aliases.FILE
    path.write_text('{"champion": 1, "next": 2}')
    with operated(folder, "--poll", "0.05") as service:
        assert answering(service, f"{CHAMPION}/predict") == 1
        path.write_text('{"champion": 2}')
        until(lambda: answering(service, f"{CHAMPION}/predict") == 2)
        assert service.get("/models/linear").json()["aliases"] == {"champion": 2}
        for broken in ("{", '{"champion": "2"}', '{"7": 1}', "[]"):
            path.write_text(broken)
            until(lambda: str(path) in failing(service).get(("linear", None), ""))
            assert answering(service, f"{CHAMPION}/predict") == 2
        path.write_text('{"champion": 3}')
        until(lambda: failing(service) == {("linear", None): "champion stands for 3, which is not loaded"})
        assert answering(service, f"{CHAMPION}/predict") == 2
        store.add(folder, biased(3))
        until(lambda: answering(service, f"{CHAMPION}/predict") == 3)
        assert failing(service) == {}


def test_a_version_with_an_alias_is_not_dropped(service: Service, folder: Path) -> None:
    put(service, "champion", {"version": 1})
    (folder / "linear" / "1").rename(folder / "aside")
    assert reload(service)["dropped"] == []
    assert answering(service, f"{CHAMPION}/predict") == 1
    assert failing(service) == {("linear", 1): "it is no longer in the store, but an alias stands for it"}
    put(service, "champion", {"version": 2})
    assert service.get("/models/linear").json()["versions"] == [2]
    assert failing(service) == {}
