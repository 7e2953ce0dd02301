"""A store: a folder of bundles, ``<store>/<name>/<version>/``."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from caveat.models.bundles.bundle import MANIFEST, Bundle, BundleError

BUNDLED = Path(__file__).parents[1] / "bundled"
"""The store that ships with the package, with the small default model."""


Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Names, sizes and times of a folder's files, which change with the folder's content."""


def bundle_folders(store: Path) -> Iterator[Path]:
    """Find the folders of all bundles in a store, ordered by name and version.

    Folders whose names can't be printed are skipped.

    Raises
    ------
    BundleError
        If the store is not a folder.
    """
    if not store.is_dir():
        raise BundleError(f"{store}: not a folder; a store holds <name>/<version>/{MANIFEST}")
    for model in sorted(path for path in store.iterdir() if path.is_dir() and path.name.isprintable()):
        for version in versions(model):
            yield model / str(version)


def versions(model: Path) -> list[int]:
    """List the versions in a model's folder, ascending; other entries are skipped."""
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if _is_version(path))


def is_store(path: Path) -> bool:
    """Tell whether a folder is a store, rather than a bundle or the folder of a model."""
    if not path.is_dir() or (path / MANIFEST).exists() or versions(path):
        return False
    return any(versions(model) for model in path.iterdir())


def fingerprint(folder: Path) -> Fingerprint:
    """Take the fingerprint of a folder without reading its files; empty if the folder does not exist."""
    try:
        with os.scandir(folder) as entries:
            files = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:  # the folder may be deleted during the scan
        return ()
    # A copy may keep the time of the content's last change; every change sets that of the inode.
    return tuple(sorted((name, it.st_size, it.st_mtime_ns, it.st_ctime_ns) for name, it in files))


def load(path: str | Path) -> Bundle:
    """Load a bundle of a store: the version in a folder, or the highest version of a model.

    Raises
    ------
    BundleError
        If there is no bundle, or `load_version` refuses it.
    """
    return load_version(find(Path(path)))


def load_version(folder: Path) -> Bundle:
    """Load the bundle in a folder of a store, and check that it stands where its manifest says.

    Raises
    ------
    BundleError
        If the bundle is not valid, its name or version differs from its folder's, or its folder is a link,
        which may lead out of the store.
    """
    for part in (folder.parent, folder):
        if part.is_symlink():
            raise BundleError(f"{part}: is a link; only the store itself may be a link")
    bundle = Bundle.load(folder)
    stated = f"{bundle.manifest.name}/{bundle.manifest.version}"
    if stated != f"{folder.parent.name}/{folder.name}":
        raise BundleError(
            f"{folder / MANIFEST}: says {stated}, but the folder is {folder.parent.name}/{folder.name}"
        )
    return bundle


def find(path: Path) -> Path:
    """Find a bundle's folder: ``path`` itself, or the highest version below a model's folder.

    Raises
    ------
    BundleError
        If neither ``path`` nor a version below it is a bundle.
    """
    if (path / MANIFEST).exists():
        return path
    below = versions(path)
    if not below:
        raise BundleError(f"{path}: no bundle here; expected <name>/<version>/{MANIFEST}")
    return path / str(below[-1])


def prepare(store: Path) -> None:
    """Check that a bundle can be written to a store, before any work on the bundle.

    A store that does not exist yet is not made: work that fails leaves nothing behind.

    Raises
    ------
    BundleError
        If the store is not a folder, or not writable.
    """
    existing = next(folder for folder in (store, *store.absolute().parents) if folder.exists())
    try:
        with TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise BundleError(f"{store}: can't write a bundle into this folder: {error.strerror}") from None


def add(store: str | Path, bundle: Bundle) -> Path:
    """Write a bundle into a store as the next version of its model.

    Returns
    -------
    Path
        The folder of the version.

    Raises
    ------
    BundleError
        If it can't be written, such as on a full disk; nothing is left behind.
    """
    model = Path(store) / bundle.manifest.name
    while True:
        version = max(versions(model), default=0) + 1
        manifest = bundle.manifest.model_copy(update={"version": version})
        folder = model / str(version)
        try:
            Bundle(manifest, bundle.files).save(folder)
        except FileExistsError:
            if version in versions(model):  # another process was faster
                continue
            raise BundleError(f"{folder}: exists, and is no version of a model") from None
        return folder


def _is_version(path: Path) -> bool:
    return path.is_dir() and path.name.isascii() and path.name.isdigit() and path.name[0] != "0"
