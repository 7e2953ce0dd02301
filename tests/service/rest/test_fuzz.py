"""Fuzzes the service with requests that the OpenAPI document allows, and many that it forbids."""

import subprocess
import sys
from pathlib import Path

import pytest

from caveat.models.bundles import store
from tests.models_table import MODELS
from tests.service.serving import Service, serving

CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 413, 415, 422]
"""

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]


@pytest.mark.slow
def test_no_request_breaks_the_service_or_gets_an_answer_outside_the_schema(
    service: Service, tmp_path: Path
) -> None:
    fuzz(service, tmp_path)


@pytest.mark.slow
def test_no_request_breaks_the_bundled_service(tmp_path: Path) -> None:
    with serving() as service:
        fuzz(service, tmp_path)


@pytest.mark.slow
def test_no_request_breaks_a_service_of_records(tmp_path: Path) -> None:
    model = next(model for model in MODELS if str(model) == "classes-of-records, calibrated")
    store.add(tmp_path / "store", model.bundle)
    with serving(tmp_path / "store") as service:
        fuzz(service, tmp_path)


def fuzz(service: Service, folder: Path) -> None:
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    run = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"{service.url}/openapi.json"),
            *("--checks", ",".join(CHECKS), "--mode", "all", "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "50", "--seed", "1", "--no-color"),
        ],
        cwd=folder,  # schemathesis reads its configuration and leaves its database here
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout[-5000:]
    assert "Tested: 18" in run.stdout
    assert service.get("/health/ready").status_code == 200
