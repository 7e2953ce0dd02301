"""The artifact on disk: a folder with a manifest and the files that the manifest lists."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from caveat.models.bundles import files, plain_json, shared
from caveat.models.bundles.files import BundleError, IncompleteError
from caveat.models.bundles.manifest import EXAMPLE, SCHEMA_VERSION, File, Manifest
from caveat.models.bundles.shared import Content, share
from caveat.models.tasks import calibration_file

__all__ = [
    "CARD",
    "MANIFEST",
    "PASSES",
    "PREDICT",
    "WEIGHTS",
    "Bundle",
    "BundleError",
    "IncompleteError",
    "pack",
    "read_manifest",
]

MANIFEST = "manifest.json"
PREDICT = "predict.onnx"
PASSES = "passes.onnx"
WEIGHTS = "weights.bin"
"""The weights of both graphs, each once. From `shared.LARGE` bytes on, all processes share them."""
CARD = "card.html"

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""A file's name: without a folder, not hidden, and valid on every system."""

_MEMORY: Final = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 2**36
"""Bytes of this machine's memory."""

_MOST: Final = {
    MANIFEST: 2**22,
    PREDICT: 2**31,
    PASSES: 2**31,
    WEIGHTS: _MEMORY // 2,
    CARD: 2**26,
    EXAMPLE: 2**28,
    calibration_file.FILE: 2**29,
}
"""Most bytes of a file, by its name."""

_OTHERS: Final = 2**26
"""Most bytes of a file with any other name, which nothing here reads."""

_LARGE: Final = 2**27
"""Bytes from which on a file is hashed before it takes memory: a file with holes takes none on the disk."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, held as the very bytes that were verified.

    Parameters
    ----------
    manifest
        The bundle's description of its model and files.
    files
        Content of every file that the manifest lists, by name.
    """

    manifest: Manifest
    files: Mapping[str, Content]

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Read a bundle and verify it, without running any code from the bundle.

        Raises
        ------
        BundleError
            If the manifest is unreadable or of an unknown schema, or a file does not match its digest in
            the manifest.
        IncompleteError
            If the manifest or a file is missing or cut off.
        """
        manifest = read_manifest(folder)
        _check_listed(folder / MANIFEST, manifest.files)
        return cls(manifest, {name: _read(folder, name, file) for name, file in manifest.files.items()})

    def save(self, folder: Path) -> None:
        """Write the bundle as a new folder, whole or not at all.

        Raises
        ------
        FileExistsError
            If the folder exists: a version is never overwritten.
        BundleError
            If the manifest could not be read again, or the folder can't be written.
        """
        manifest = _written(self.manifest)
        made = [parent for parent in folder.parents if not parent.exists()]
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._write(folder, manifest)
        except BaseException as error:
            for parent in made:
                with suppress(OSError):  # what is not empty is somebody else's by now
                    parent.rmdir()
            if isinstance(error, OSError) and not isinstance(error, FileExistsError):
                raise BundleError(f"{folder}: can't be written: {error.strerror}") from None
            raise

    def _write(self, folder: Path, manifest: str) -> None:
        scratch = Path(tempfile.mkdtemp(prefix=".incomplete-", dir=folder.parent))
        try:
            for name, content in self.files.items():
                (scratch / name).write_bytes(content)
            (scratch / MANIFEST).write_text(manifest)
            scratch.chmod(0o755)
            scratch.rename(folder)
        except OSError:
            if folder.exists():
                raise FileExistsError(f"{folder} exists already") from None
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def pack(manifest: Manifest, files: Mapping[str, Content]) -> Bundle:
    """Make a bundle from a manifest and files, and list the files with their digests in the manifest.

    Raises
    ------
    BundleError
        If the manifest is not valid, for example because a metric is not finite.
    """
    digests = {
        name: File(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for name, content in sorted(files.items())
    }
    bundle = Bundle(manifest.model_copy(update={"files": digests}), dict(files))
    _written(bundle.manifest)
    return bundle


def _written(manifest: Manifest) -> str:
    """Write a manifest as JSON and validate the text, since `model_copy` validates nothing."""
    text = manifest.model_dump_json(indent=2) + "\n"
    if len(text) > _MOST[MANIFEST]:
        raise BundleError(
            f"{manifest.name}: {MANIFEST} would hold {len(text):,} characters; at most {_MOST[MANIFEST]:,}"
            " are allowed: give shorter names, or columns with fewer categories"
        )
    try:
        _validated(text.encode())
    except ValueError as error:
        raise BundleError(f"{manifest.name}: {MANIFEST} would not be valid: {error}") from None
    return text


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle alone.

    Raises
    ------
    BundleError
        If it is unreadable or of an unknown schema.
    IncompleteError
        If it is missing or cut off.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise IncompleteError(f"{folder}: no {MANIFEST}; is this the folder of a bundle?")
    content = files.read(path, _MOST[MANIFEST])
    try:
        return _validated(content)
    except json.JSONDecodeError as error:
        raise IncompleteError(f"{path}: Invalid JSON: {error}") from None
    except ValueError as error:
        raise BundleError(f"{path}: {error}") from None


def _validated(content: bytes) -> Manifest:
    try:
        plain_json.check(content)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise ValueError(f"Invalid JSON: {error}") from None
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(_first_fault(error)) from None


def _first_fault(error: ValidationError) -> str:
    faults = {".".join(map(str, fault["loc"])): fault for fault in error.errors(include_url=False)}
    if "schema_version" in faults:
        found = faults["schema_version"]["input"]
        return (
            f"schema_version is {found!r}; this version of Caveat reads {SCHEMA_VERSION}: make the bundle "
            "anew, with `caveat export` or `caveat train`"
        )
    place, fault = next(iter(faults.items()))
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {reason}" if place else reason


def _check_listed(manifest: Path, listed: Mapping[str, File]) -> None:
    for required in (PREDICT, PASSES):
        if required not in listed:
            raise BundleError(f"{manifest}: lists no {required}")
    known = {MANIFEST: MANIFEST}
    for name, file in listed.items():
        if not _NAME.fullmatch(name):
            raise BundleError(f"{manifest}: lists {name!r}, which is not a plain file of the bundle")
        if (other := known.setdefault(name.lower(), name)) != name or name == MANIFEST:
            raise BundleError(f"{manifest}: lists {name}, which is the same file as {other} on some systems")
        if file.bytes > (most := _MOST.get(name, _OTHERS)):
            raise BundleError(
                f"{manifest}: lists {name} with {file.bytes:,} bytes; at most {most:,} are allowed"
            )


def _read(folder: Path, name: str, file: File) -> Content:
    path = folder / name
    if file.bytes >= _LARGE:
        _compare(path, file, *files.digest(path, file.bytes))
    is_shared = name == WEIGHTS and file.bytes >= shared.LARGE
    content = share(path, file.bytes, file.sha256) if is_shared else files.read(path, file.bytes)
    _compare(path, file, len(content), hashlib.sha256(content).hexdigest())
    return content


def _compare(path: Path, file: File, size: int, digest: str) -> None:
    if size < file.bytes:
        raise IncompleteError(f"{path}: holds {size:,} bytes, the manifest says {file.bytes:,}")
    if digest != file.sha256:
        raise BundleError(f"{path}: sha256 is {digest}, the manifest says {file.sha256}")
