"""The locks are what pyproject.toml allows, whole and hashed; and it names what the package imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "locks"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
SERVING = PROJECT["dependencies"]
TRAINING = SERVING + EXTRAS["training"]

DIRECT = {
    "build": PYPROJECT["build-system"]["requires"],
    "dev": [
        *SERVING,
        *(each for extra in EXTRAS.values() for each in extra),
        *PYPROJECT["dependency-groups"]["dev"],
    ],
    "serving": SERVING,
    "training": TRAINING,
}
"""What each lock is for."""

NOT_IMPORTED = {"fastapi-offline", "uvloop"}
"""What is found by its name, and what uvicorn imports."""

SHARED = {"opentelemetry"}
"""Modules to which several distributions add: those of the tracing extra."""

Pins = dict[str, list[Requirement]]


def entries(lock: str) -> list[str]:
    """Read the entries of a lock, comments left out."""
    text = re.sub(r"^ *#.*\n", "", (LOCKS / f"{lock}.txt").read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


def pins(lock: str) -> Pins:
    """Read the versions in a lock."""
    found: Pins = {}
    for entry in entries(lock):
        requirement = Requirement(entry.partition("--hash")[0])
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def pinned(requirement: Requirement) -> str:
    (bound,) = requirement.specifier
    assert bound.operator == "=="
    return bound.version


def version(pins: Pins, name: str, python: str) -> str | None:
    """Tell which version of a package a Python on Linux gets."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    fitting = [
        pinned(each)
        for each in pins.get(canonicalize_name(name), [])
        if each.marker is None or each.marker.evaluate(environment)
    ]
    assert len(fitting) <= 1
    return fitting[0] if fitting else None


@pytest.mark.parametrize("lock", DIRECT)
def test_a_lock_has_every_version_with_hashes_and_no_place(lock: str) -> None:
    assert entries(lock)
    for entry in entries(lock):
        assert re.fullmatch(r"[\w.-]+==[\w.!+]+(?: +;[^@/]+?)?(?: +--hash=sha256:[0-9a-f]{64})+ *", entry)
    assert not re.search(r"://|^-|@", (LOCKS / f"{lock}.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("lock", DIRECT)
def test_a_lock_is_within_the_bounds(lock: str, python: str) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, DIRECT[lock]):
        if requirement.name != "torch":
            found = version(locked, requirement.name, python)
            assert found is not None, requirement.name
            assert found in requirement.specifier, requirement.name


@pytest.mark.parametrize(("part", "whole"), [("serving", "training"), ("training", "dev")])
def test_images_hold_what_the_tests_ran_with(part: str, whole: str) -> None:
    assert {(name, str(each)) for name, pins_ in pins(part).items() for each in pins_} <= {
        (name, str(each)) for name, pins_ in pins(whole).items() for each in pins_
    }


def test_torch_is_pinned_apart_from_the_locks() -> None:
    assert entries("torch") == [each for each in EXTRAS["training"] if each.startswith("torch==")]
    for lock in DIRECT:
        assert not [name for name in pins(lock) if re.match("(torch|triton|cuda-.*|nvidia-.*)$", name)]


def test_what_is_imported_is_declared_and_nothing_else_is() -> None:
    folders = ("service", "models", "training", "caveat/commands")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    modules = {module for path in paths for module in imported(ast.parse(path.read_text()))}
    owners = packages_distributions()
    needed = {canonicalize_name(owner) for module in modules - SHARED for owner in owners[module]}
    declared = {canonicalize_name(Requirement(each).name) for each in TRAINING + EXTRAS["bfloat16"]}
    assert needed == declared - NOT_IMPORTED


def imported(tree: ast.Module) -> set[str]:
    """Name what a module imports that is neither the standard library's nor this package's."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return {each.partition(".")[0] for each in found} - sys.stdlib_module_names - {"caveat"}


def test_the_contract_against_torch_names_every_part_of_the_models() -> None:
    (contract,) = (
        each
        for each in PYPROJECT["tool"]["importlinter"]["contracts"]
        if "torch" in each.get("forbidden_modules", ())
    )
    parts = {
        path.stem for path in (ROOT / "models").iterdir() if path.suffix == ".py" or list(path.glob("*.py"))
    }
    named = {name.removeprefix("caveat.models.") for name in contract["source_modules"] if ".models." in name}
    assert named == parts - {"__init__", "networks"}
