"""Snapshots of a store: fingerprints of its files, without reading them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caveat.models.bundles import aliases, store
from caveat.models.bundles.bundle import MANIFEST
from caveat.models.bundles.store import Fingerprint
from caveat.models.errors import CaveatError


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a store; equal snapshots mean that the store has not changed.

    Parameters
    ----------
    versions
        Fingerprints of the bundles, by name and version.
    aliases
        Fingerprints of the files of aliases, by the model's name.
    """

    versions: Mapping[tuple[str, int], Fingerprint]
    aliases: Mapping[str, Fingerprint]


def take_snapshot(folder: Path) -> Snapshot:
    """Take a snapshot of a store.

    Raises
    ------
    CaveatError
        If the folder can't be read, or holds no bundle.
    """
    try:
        folders = list(store.bundle_folders(folder))
    except OSError as error:
        raise CaveatError(f"{error.filename}: {error.strerror}") from None
    if not folders:
        raise CaveatError(
            f"{folder}: no bundle here; a store holds <name>/<version>/{MANIFEST}{_hint(folder)}"
        )
    models = {path.parent for path in folders}
    return Snapshot(
        {(path.parent.name, int(path.name)): store.fingerprint(path) for path in folders},
        {
            model.name: tuple(file for file in store.fingerprint(model) if file[0] == aliases.FILE)
            for model in models
        },
    )


def _hint(folder: Path) -> str:
    """Suggest the store, if the folder is that of a model or of a bundle in it."""
    folder = folder.resolve()
    if store.versions(folder):
        return f". Did you mean {folder.parent}?"
    return f". Did you mean {folder.parent.parent}?" if (folder / MANIFEST).exists() else ""
