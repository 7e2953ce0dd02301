"""What a store shows before any of its files is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caveat.models.bundles import aliases, store
from caveat.models.bundles.bundle import MANIFEST
from caveat.models.bundles.store import Fingerprint
from caveat.models.errors import CaveatError


@dataclass(frozen=True)
class Sight:
    """The versions and aliases of a store by what changes with them; equal sights, equal stores.

    Parameters
    ----------
    versions
        By name and version.
    aliases
        The files of aliases, by the names of their models.
    """

    versions: Mapping[tuple[str, int], Fingerprint]
    aliases: Mapping[str, Fingerprint]


def look(folder: Path) -> Sight:
    """Look at a store.

    Raises
    ------
    CaveatError
        If there is none, or nothing in it.
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
    return Sight(
        {(path.parent.name, int(path.name)): store.fingerprint(path) for path in folders},
        {
            model.name: tuple(file for file in store.fingerprint(model) if file[0] == aliases.FILE)
            for model in models
        },
    )


def _hint(folder: Path) -> str:
    """Name the store, if the folder of a model or of a bundle was taken for one."""
    folder = folder.resolve()
    if store.versions(folder):
        return f". Did you mean {folder.parent}?"
    return f". Did you mean {folder.parent.parent}?" if (folder / MANIFEST).exists() else ""
