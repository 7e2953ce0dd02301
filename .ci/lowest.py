"""Serves with the lowest versions of the dependencies that pyproject.toml allows.

The tests that run with them start `caveat serve` and ask it over HTTP; no dependency of serving is left out.
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]

ENVIRONMENT = ROOT / ".venv-lowest"

TOOLS = ("hypothesis", "jsonschema-rs", "onnx", "pytest", "pytest-xdist", "trustme")
"""What the tests need besides, in the versions of the environment that runs this."""

TESTS = (
    "commands/test_predict.py",  # httpx, pydantic-settings
    "service/rest/test_app.py",  # anyio, fastapi, starlette
    "service/process/test_private_names.py",  # prometheus-client, uvicorn
    "service/rest/content/test_arrays.py",  # numpy
    "service/rest/content/test_document.py",  # pysimdjson
    "service/rest/content/test_request.py",  # orjson
    "service/rest/documentation/test_docs.py",  # fastapi-offline
    "service/rest/documentation/test_openapi.py",  # pydantic
    "service/desk/monitoring/test_histogram.py",  # prometheus-client
    "service/process/wire/test_wire.py",  # httptools, uvicorn, uvloop
)
"""What each of them leans on; onnxruntime is behind every answer."""


def floors() -> Iterator[str]:
    """Name the lowest version of each dependency.

    Raises
    ------
    ValueError
        If one has no lower bound, or several.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for each in map(Requirement, project["dependencies"]):
        (floor,) = (bound.version for bound in each.specifier if bound.operator == ">=")
        if each.marker is None or each.marker.evaluate():
            yield f"{each.name}=={floor}"


def main() -> int:
    """Install, and test."""
    python = str(ENVIRONMENT / "bin" / "python")
    lowest = list(floors())
    tools = [f"{name}=={version(name)}" for name in TOOLS]
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--editable", str(ROOT)]
    print(*lowest, flush=True)
    subprocess.run([*install, *lowest, *tools], check=True)
    files = [f"tests/{name}" for name in TESTS]
    run = [python, "-m", "pytest", "--quiet", "--numprocesses", "auto", "-p", "no:cacheprovider", *files]
    return subprocess.run(run, cwd=ROOT).returncode


if __name__ == "__main__":
    raise SystemExit(main())
