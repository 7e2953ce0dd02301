"""The artifact on disk: a folder with a manifest and the files that it vouches for."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.errors import CaveatError
from models.manifest import SCHEMA_VERSION, File, Manifest

MANIFEST = "manifest.json"
PREDICT = "predict.onnx"
PASSES = "passes.onnx"
CARD = "card.html"


class BundleError(CaveatError):
    """A folder that is not a sound bundle; the message names the file and what is wrong with it."""


class IncompleteError(BundleError):
    """A folder that has less than a bundle, as one that is being copied has."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, held as the very bytes that were verified.

    Parameters
    ----------
    manifest
        What the bundle states of itself.
    files
        Content of every file that the manifest vouches for, by name.
    """

    manifest: Manifest
    files: Mapping[str, bytes]

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Read a bundle and verify it. This runs no code of the bundle's.

        Raises
        ------
        BundleError
            If the manifest is missing, unreadable or of an unknown schema, or a file is missing or
            differs from its digest; an `IncompleteError`, if something is missing.
        """
        manifest = _read_manifest(folder)
        for required in (PREDICT, PASSES):
            if required not in manifest.files:
                raise BundleError(f"{folder / MANIFEST}: lists no {required}")
        return cls(manifest, {name: _read(folder, name, file) for name, file in manifest.files.items()})

    def save(self, folder: Path) -> None:
        """Write the bundle as a new folder, whole or not at all.

        Raises
        ------
        FileExistsError
            If the folder exists: a version is never overwritten.
        BundleError
            If the manifest could not be read again.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".incomplete-", dir=folder.parent))
        try:
            for name, content in self.files.items():
                (scratch / name).write_bytes(content)
            (scratch / MANIFEST).write_text(_written(self.manifest))
            scratch.chmod(0o755)
            if folder.exists():
                raise FileExistsError(f"{folder} exists already")
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def pack(manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Make a bundle of a manifest and the files that it shall vouch for.

    Raises
    ------
    BundleError
        If the manifest could not be read again, such as with a metric that is not finite.
    """
    digests = {
        name: File(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for name, content in sorted(files.items())
    }
    bundle = Bundle(manifest.model_copy(update={"files": digests}), dict(files))
    _written(bundle.manifest)
    return bundle


def _written(manifest: Manifest) -> str:
    """Write a manifest, and make sure that it can be read again: a copy of one was never validated."""
    text = manifest.model_dump_json(indent=2) + "\n"
    try:
        Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{manifest.name}: no sound {MANIFEST}: {_first_fault(error)}") from None
    return text


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise IncompleteError(f"{folder}: no {MANIFEST}; is this the folder of a bundle?") from None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        kind = IncompleteError if error.errors()[0]["type"] == "json_invalid" else BundleError
        raise kind(f"{path}: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    faults = {".".join(map(str, fault["loc"])): fault for fault in error.errors(include_url=False)}
    if "schema_version" in faults:
        found = faults["schema_version"]["input"]
        return f"schema_version is {found!r}; this version of Caveat reads {SCHEMA_VERSION}"
    place, fault = next(iter(faults.items()))
    return f"{place}: {fault['msg']}" if place else fault["msg"]


def _read(folder: Path, name: str, file: File) -> bytes:
    path = folder / name
    if Path(name).name != name or path.is_symlink() or not path.is_file():
        kind = BundleError if os.path.lexists(path) else IncompleteError
        raise kind(f"{path}: missing, or not a plain file of the bundle")
    content = path.read_bytes()
    if len(content) < file.bytes:
        raise IncompleteError(f"{path}: has {len(content)} bytes, the manifest says {file.bytes}")
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise BundleError(f"{path}: sha256 is {found}, the manifest says {file.sha256}")
    return content
