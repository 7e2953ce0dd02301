"""Removes from an environment the files that serving never opens, and their lines in the packages' records.

Run with the folder of the environment: `python docker/slim.py /opt/caveat`.
"""

import csv
import io
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.metadata import Distribution, distributions
from pathlib import Path

UNNEEDED = (
    "*/tests/*",  # the packages' own tests, most of them numpy's
    *("*.c", "*.cpp", "*.h", "*.f90", "*.pxd", "*.pyx", "*.a"),  # what compiled modules were made from
    "*.pyi",  # types, for editors
    # A second copy of the runtime, for programs in C: the module that Python loads holds it all.
    "onnxruntime/capi/libonnxruntime.so.*",
    # Programs that convert networks.
    *("onnxruntime/quantization/*", "onnxruntime/tools/*", "onnxruntime/transformers/*"),
)
"""Patterns of files' paths below ``site-packages``."""


def slim(packages: Path) -> int:
    """Remove the unneeded files of all packages in a ``site-packages`` folder; return their bytes."""
    removed = 0
    for distribution in distributions(path=[str(packages)]):
        for path in _unneeded(distribution):
            removed += path.stat().st_size
            path.unlink()
            _prune(path.parent, packages)
        _record(distribution)
    return removed


def _unneeded(distribution: Distribution) -> Iterator[Path]:
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if any(fnmatchcase(str(file), pattern) for pattern in UNNEEDED) and path.is_file():
            yield path


def _prune(folder: Path, packages: Path) -> None:
    """Remove a folder and the ones above it, as far as they are empty."""
    while folder != packages and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _record(distribution: Distribution) -> None:
    """Write a package's list of its files without those that are gone."""
    lines = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(line for line in lines if Path(str(distribution.locate_file(line[0]))).exists())
    (record,) = (file for file in distribution.files or () if file.match("*.dist-info/RECORD"))
    Path(str(distribution.locate_file(record))).write_text(text.getvalue())


def main() -> None:
    """Slim the environment that the command names, and say by how much."""
    (packages,) = Path(sys.argv[1]).glob("lib/python*/site-packages")
    print(f"{packages}: {slim(packages) / 2**20:.0f} MiB removed")


if __name__ == "__main__":
    main()
