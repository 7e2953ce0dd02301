"""Ways to damage the folder of a bundle."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caveat.models.bundles import store
from caveat.models.bundles.bundle import CARD, MANIFEST, pack
from tests.bundles import calibrated, tabular

Do = Callable[[Path], object]


PAGE = b"<p>A page.</p>" * 10


@dataclass(frozen=True)
class Damage:
    """A change to the folder of a valid bundle, and words of the error that refuses the result."""

    do: Do
    words: str


def sound(scratch: Path) -> Path:
    """Make the folder of a valid bundle in a store, and a folder outside that must never be read."""
    (scratch / "outside").mkdir()
    (scratch / "outside" / "secret").write_bytes(np.ones(3, np.float32).tobytes())
    bundle = calibrated(tabular())
    return store.add(scratch / "store", pack(bundle.manifest, {**bundle.files, CARD: PAGE}))


def manifest(folder: Path) -> Any:
    return json.loads((folder / MANIFEST).read_text())


def edit(folder: Path, **changes: Any) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest(folder) | changes))


def seal(folder: Path, **files: bytes) -> None:
    """Write files into a bundle and list their digests; in a keyword, _ stands for the name's dot."""
    listed = manifest(folder)["files"]
    for key, content in files.items():
        name = key.replace("_", ".")
        (folder / name).write_bytes(content)
        listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(folder, files=listed)


def each(*steps: Do) -> Do:
    """Do one after the other."""

    def do(folder: Path) -> None:
        for step in steps:
            step(folder)

    return do


def cut(name: str) -> Do:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 20)


def put(**files: bytes) -> Do:
    return lambda folder: seal(folder, **files)


def predict(content: bytes) -> Do:
    return put(predict_onnx=content)


def say(**changes: Any) -> Do:
    return lambda folder: edit(folder, **changes)


def write(text: bytes | str) -> Do:
    return lambda folder: (folder / MANIFEST).write_bytes(text if isinstance(text, bytes) else text.encode())


def replace(old: str, new: str) -> Do:
    """Replace text in the manifest's file, so that it may hold JSON that no library writes."""

    def do(folder: Path) -> None:
        text = (folder / MANIFEST).read_text()
        assert old in text
        (folder / MANIFEST).write_text(text.replace(old, new, 1))

    return do


def instead(name: str, make: Do) -> Do:
    def do(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return do


def size(name: str, bytes: int) -> Do:  # noqa: A002
    def do(folder: Path) -> None:
        files = manifest(folder)["files"]
        files[name]["bytes"] = bytes
        edit(folder, files=files)

    return do


def input_of(**changes: Any) -> Do:
    return lambda folder: edit(folder, inputs=[manifest(folder)["inputs"][0] | changes])


def site_of(**changes: Any) -> Do:
    return lambda folder: edit(folder, sites=[manifest(folder)["sites"][0] | changes])
