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

TOOLS = ("hypothesis", "onnx", "pytest", "pytest-xdist", "trustme")
"""What the tests need besides, in the versions of the environment that runs this."""

TESTS = (
    "app",  # anyio, fastapi, starlette
    "arrays",  # numpy
    "client",  # httpx, pydantic-settings
    "docs",  # fastapi-offline
    "document",  # pysimdjson
    "histogram",  # prometheus-client
    "openapi",  # pydantic
    "private_names",  # prometheus-client, uvicorn
    "request",  # orjson
    "wire",  # httptools, uvicorn, uvloop
)
"""Of the service; onnxruntime is behind every answer."""


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
    files = [f"tests/service/test_{name}.py" for name in TESTS]
    run = [python, "-m", "pytest", "--quiet", "--numprocesses", "auto", "-p", "no:cacheprovider", *files]
    return subprocess.run(run, cwd=ROOT).returncode


if __name__ == "__main__":
    raise SystemExit(main())
