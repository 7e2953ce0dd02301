"""Keys: how they are set, and which routes they open."""

import json
import socket
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from caveat import commands
from caveat.service.keys import Keys
from caveat.service.rest.documentation.openapi import tell_of_keys
from caveat.service.settings import Settings
from tests.service.serving import TIMEOUT, Service, serving

CLIENT = "key-of-the-team-of-fraud"
HASHED = "another-key-of-a-client"
ADMIN = "key-of-the-one-who-rolls-out"
UNKNOWN = "key-of-a-perfect-stranger"


Ended = tuple[int, str, str]
"""Exit code, output and errors of a command."""


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    def run(*arguments: str | Path, **environment: str) -> Ended:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = commands.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def hashed(key: str) -> str:
    return "sha256:" + sha256(key.encode()).hexdigest()


def showing(key: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {key}"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"# team fraud\n{CLIENT}\n\n  # and another, as its hash\n  {hashed(HASHED)}\n")
    return path


@pytest.fixture(scope="module")
def locked(bundles: Path, file: Path) -> Iterator[Service]:
    """Serve with keys: the clients' come from a file, the admins' from the environment."""
    flags = ("--default-model", "linear", "--api-keys", file)
    with serving(
        bundles, *flags, CAVEAT_ADMIN_KEYS=f"{ADMIN}, {hashed('one-more-key-of-admins')}"
    ) as service:
        yield service


@pytest.mark.parametrize(
    "path", ["/models", "/models/linear", "/models/linear/card", "/metrics", "/nothing", "/health", "/docs/"]
)
def test_routes_refuse_requests_without_a_key(locked: Service, path: str) -> None:
    refused = locked.get(path)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"
    assert "Authorization: Bearer KEY" in refused.json()["detail"]


@pytest.mark.parametrize("key", [CLIENT, HASHED, ADMIN, "one-more-key-of-admins"])
def test_every_key_opens_the_routes_of_clients(locked: Service, key: str) -> None:
    for path in ("/models", "/metrics"):
        assert locked.client.get(path, headers=showing(key)).status_code == 200
    body = {"inputs": [[1, 2, 3]]}
    for verb in ("/predict", "/predict/uncertainty"):
        assert locked.client.post(verb, json=body, headers=showing(key)).status_code == 200
        assert locked.client.post(verb, json=body).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        showing(UNKNOWN),
        showing(CLIENT[:-1]),
        showing(CLIENT + "x"),
        showing(CLIENT.upper()),
        showing(hashed(HASHED)),
        showing("x"),
        showing(CLIENT, "Basic"),
        {"Authorization": CLIENT},
        {"X-Api-Key": CLIENT},
    ],
)
def test_invalid_keys_open_nothing(locked: Service, headers: dict[str, str]) -> None:
    refused = locked.client.get("/models", headers=headers)
    assert refused.status_code == 401
    assert CLIENT not in refused.text


def test_the_scheme_is_case_insensitive(locked: Service) -> None:
    assert locked.client.get("/models", headers=showing(CLIENT, "bEARER")).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
def test_health_and_documentation_need_no_key(locked: Service, path: str) -> None:
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/docs/assets/../../models", "/health/../models", "//health/live", "/%64ocs/x"]
)
def test_odd_paths_do_not_bypass_the_guard(locked: Service, path: str) -> None:
    address = (locked.client.base_url.host, locked.client.base_url.port)
    with socket.create_connection(address) as connection:  # an HTTP client would normalise the path
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        assert connection.recv(4096)[:12] in (b"HTTP/1.1 401", b"HTTP/1.1 404")


def test_a_request_without_a_key_is_refused_before_its_body_is_sent(locked: Service) -> None:
    address = (locked.client.base_url.host, locked.client.base_url.port)
    with socket.create_connection(address) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


def test_only_an_admin_key_opens_admin(locked: Service) -> None:
    path = "/admin/nothing-of-this-name"
    assert locked.client.post(path).status_code == 401
    assert locked.client.post(path, headers=showing(UNKNOWN)).status_code == 401
    refused = locked.client.post(path, headers=showing(CLIENT))
    assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")
    assert locked.client.post(path, headers=showing(ADMIN)).status_code == 404


def test_without_admin_keys_admin_is_closed(service: Service) -> None:
    for headers in ({}, showing(ADMIN)):
        refused = service.client.post("/admin/reload", headers=headers)
        assert refused.status_code == 403
        assert "start the service with --admin-keys" in refused.json()["detail"]


def test_admin_keys_alone_leave_the_rest_open(bundles: Path) -> None:
    with serving(bundles, CAVEAT_ADMIN_KEYS=ADMIN) as service:
        assert service.get("/models").status_code == 200
        assert service.client.post("/admin/nothing").status_code == 401
        assert service.client.post("/admin/nothing", headers=showing(ADMIN)).status_code == 404


def test_refusals_are_counted(locked: Service) -> None:
    locked.get("/models")
    metrics = locked.client.get("/metrics", headers=showing(CLIENT)).text
    assert 'caveat_requests_total{code="401",model="(none)",route="(none)",version="(none)"}' in metrics


def test_the_document_says_which_routes_need_which_key(locked: Service, service: Service) -> None:
    document = locked.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            free = path.startswith("/health/")
            assert ("security" in operation, "401" in operation["responses"]) == (not free, not free), path
    assert "key" not in service.get("/openapi.json").json()["components"].get("securitySchemes", {})


def test_the_document_says_that_admin_has_its_own_keys() -> None:
    operation: dict[str, Any] = {"responses": {"200": {}}}
    document = {"components": {}, "paths": {"/admin/reload": {"post": operation}}}
    tell_of_keys(document, Settings(store=None))
    assert operation["security"] == [{"admin_key": []}]
    assert set(operation["responses"]) == {"200", "401", "403"}
    assert document["components"]["securitySchemes"]["admin_key"]["type"] == "http"


def test_the_process_neither_shows_nor_keeps_keys(bundles: Path, file: Path) -> None:
    with serving(bundles, "--api-keys", file, "--workers", "2") as service:
        for key in (CLIENT, HASHED, UNKNOWN):
            httpx.get(service.url + "/models", headers=showing(key), timeout=TIMEOUT)
        shown = service.client.get("/models/linear", headers=showing(CLIENT)).text
        shown += service.client.get("/metrics", headers=showing(CLIENT)).text
        service.process.terminate()
        out, errors = service.process.communicate(timeout=TIMEOUT)
    for key in (CLIENT, HASHED, UNKNOWN):
        assert key not in shown + service.line + out + errors


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "holds no keys"),
        ("# nobody yet\n", "holds no keys"),
        (f"{CLIENT}\nshort-secret\n", "line 2 of the file of keys: expected a key of 16 characters or more"),
        ("team = a-secret-with-blanks\n", "line 1 of the file"),
        ("sha256:abc-secret\n", "64 hex digits"),
        (f"# of an empty variable\n{hashed('')}", "line 2 of the file of keys: is the hash of an empty text"),
        ("\x00\xff-secret-of-bytes", "line 1 of the file of keys: expected a key"),
    ],
)
def test_a_wrong_file_of_keys_ends_the_start_with_one_line(
    command: Callable[..., Ended], tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    code, out, errors = command("serve", "--api-keys", path)
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("caveat serve: --api-keys: ")
    assert reason in errors
    assert "secret" not in errors


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("/no/such/secret", "names a file of keys, which can't be read: No such file or directory"),
        (f"{CLIENT},short-secret", "key 2: expected a key of 16 characters or more"),
        (f"{CLIENT},", "key 2: expected"),
        ("a secret that has blanks", "key 1: expected"),
    ],
)
def test_a_wrong_variable_ends_the_start_with_one_line(
    command: Callable[..., Ended], value: str, reason: str
) -> None:
    code, out, errors = command("serve", CAVEAT_ADMIN_KEYS=value)
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("caveat serve: CAVEAT_ADMIN_KEYS: ")
    assert reason in errors
    assert "secret" not in errors


def test_keys_are_recognised_and_kept_only_as_hashes() -> None:
    keys = Keys.given(f"{CLIENT},{hashed(HASHED)}")
    assert keys.hold(CLIENT.encode())
    assert keys.hold(HASHED.encode())
    assert not keys.hold(b"")
    assert not keys.hold(UNKNOWN.encode())
    assert CLIENT not in repr(vars(keys))


@pytest.mark.parametrize("way", ["file", "variable"])
def test_predict_sends_its_key(
    locked: Service, command: Callable[..., Ended], tmp_path: Path, way: str
) -> None:
    rows, key = tmp_path / "rows.json", tmp_path / "key"
    rows.write_text("[[1, 2, 3]]")
    key.write_text(CLIENT + "\n")
    flags = ("--api-key-file", key) if way == "file" else ()
    variable = CLIENT if way == "variable" else UNKNOWN  # the flag overrides it
    code, out, _ = command("predict", rows, "--url", locked.url, "--json", *flags, CAVEAT_API_KEY=variable)
    assert code == 0
    assert json.loads(out)["model"] == "linear"


def test_predict_says_how_to_give_a_key(
    locked: Service, command: Callable[..., Ended], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text("[[1, 2, 3]]")
    code, _, errors = command("predict", rows, "--url", locked.url, CAVEAT_API_KEY="")
    assert code == 1
    assert "401 Unauthorized" in errors
    assert "--api-key-file, or in CAVEAT_API_KEY" in errors


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), ("", "expected one key"), ("two\nsecrets", "expected one key")],
)
def test_predict_refuses_an_invalid_key(
    command: Callable[..., Ended], tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    code, _, errors = command("predict", "rows.json", "--api-key-file", path)
    assert (code, errors.count("\n")) == (1, 1)
    assert f"{path}: {reason}" in errors
    assert "secrets" not in errors


def test_help_shows_no_key(command: Callable[..., Ended], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("serve", "--help", CAVEAT_API_KEYS=CLIENT)
    helped = capsys.readouterr().out
    assert "--api-keys" in helped
    assert CLIENT not in helped


def test_the_name_of_a_file_is_refused_as_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "production-client-keys").write_text("c5d1f04e0b6f4f2e9a7d3b60e6b1b1f8\n")
    with pytest.raises(ValueError, match=r"a file has this name; to read keys from it, put \./ before"):
        Keys.given("production-client-keys")
    assert Keys.given("./production-client-keys").hold(b"c5d1f04e0b6f4f2e9a7d3b60e6b1b1f8")
