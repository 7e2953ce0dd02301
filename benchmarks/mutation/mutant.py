"""A mutant of a bundle, before it is written into a store."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caveat.models.bundles.bundle import MANIFEST


@dataclass
class Mutant:
    """A mutant of a bundle.

    Parameters
    ----------
    number
        With the seed of a run, it decides all changes.
    manifest, files
        The content of the mutant; the manifest lists the files once it is written.
    kinds
        The changes.
    text
        The manifest as it stands in its file, where that is not what JSON makes of ``manifest``.
    late
        Changes to the folder of the written mutant.
    """

    number: int
    manifest: dict[str, Any]
    files: dict[str, bytes]
    kinds: list[str] = field(default_factory=list)
    text: bytes | None = None
    late: list[Callable[[Path], object]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name in a store."""
        return f"mutant-{self.number}"

    def write(self, store: Path) -> None:
        """Write it into a store as version 1, in one step."""
        scratch = store / f".{self.name}"
        folder = scratch / "1"
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            with suppress(OSError, ValueError):
                (folder / name).write_bytes(content)
        (folder / MANIFEST).write_bytes(self.text or json.dumps(self.manifest).encode())
        for change in self.late:
            change(folder)
        scratch.rename(store / self.name)

    def seal(self) -> None:
        """List the files in the manifest, as they are now."""
        self.manifest["files"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in self.files.items()
        }
