"""The folder in which an engine finds the files of weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from caveat.models.bundles.files import BundleError, Content, MappedFile


@contextmanager
def folder_of(files: Mapping[str, Content]) -> Iterator[Path]:
    """Give the folder of mapped files, or else a folder with copies of the files that lasts as long as this.

    Raises
    ------
    BundleError
        If a mapped file is not the one on the disk any more.
    """
    mapped = [content for content in files.values() if isinstance(content, MappedFile)]
    if mapped and len(mapped) == len(files):
        yield mapped[0].path.parent
        for file in mapped:
            if file.changed:
                raise BundleError(f"{file.path}: changes while it is read")
        return
    with TemporaryDirectory(prefix="caveat-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        yield Path(folder)
