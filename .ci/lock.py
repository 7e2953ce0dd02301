"""Writes the locks: the version of each installed package, with the hashes of its files.

Serving and training get the versions of the development environment, so that images hold what was tested.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

COMPILE = [
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"),
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--annotation-style=line"),
]

UNLOCKED = re.compile(r"(?:torch|triton|(?:cuda|nvidia)-[\w-]+)==")
"""Packages that depend on the build of torch."""

TORCH = """\
# Installed after the rest, and without hashes: the wheels of an index of CPU builds have hashes of their own.
# With those of the ordinary wheels, pip would pass that index over and bring the GPU libraries after all.
"""


def lock(*sources: str, given: str = "") -> str:
    """Resolve requirements for every platform and every Python from 3.11 on.

    Parameters
    ----------
    sources
        Arguments of `uv pip compile` that name the requirements.
    given
        Text of the requirements where a source is ``-``.
    """
    run = subprocess.run(
        [*COMPILE, *sources], cwd=ROOT, input=given, stdout=subprocess.PIPE, check=True, text=True
    )
    return locked(run.stdout)


def locked(compiled: str) -> str:
    """Remove the packages that depend on the build of torch."""
    entries = re.split(r"^(?=\S)", compiled, flags=re.MULTILINE)
    return "# Written by `make lock`.\n" + "".join(entry for entry in entries if not UNLOCKED.match(entry))


def main() -> None:
    """Write all locks."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folder = ROOT / "locks"
    folder.mkdir(exist_ok=True)
    together = ["--constraints", "locks/dev.txt"]
    for name, sources in {
        "dev": ["pyproject.toml", "--all-extras", "--group", "dev"],
        "training": ["pyproject.toml", "--extra", "training", *together],
        "serving": ["pyproject.toml", *together],
    }.items():
        (folder / f"{name}.txt").write_text(lock(*sources))
    # An editable install needs `editables` besides.
    build = "\n".join([*pyproject["build-system"]["requires"], "editables"])
    (folder / "build.txt").write_text(lock("-", *together, given=build))
    training = pyproject["project"]["optional-dependencies"]["training"]
    (pinned,) = (requirement for requirement in training if UNLOCKED.match(requirement))
    (folder / "torch.txt").write_text(f"{TORCH}{pinned}\n")


if __name__ == "__main__":
    main()
