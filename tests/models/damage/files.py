"""Damages to the files of a bundle."""

import os
import shutil
import socket
from pathlib import Path

from caveat.models.bundles.bundle import CARD, MANIFEST, PASSES, PREDICT
from caveat.models.tasks import calibration_file
from tests.models.damage.damage import (
    PAGE,
    Damage,
    Do,
    cut,
    each,
    edit,
    instead,
    manifest,
    put,
    replace,
    say,
    seal,
    size,
)


def listing(name: str) -> Do:
    """List a file of this name in the manifest, with the digest of another file."""

    def do(folder: Path) -> None:
        files = manifest(folder)["files"]
        edit(folder, files=files | {name: files[PASSES]})

    return do


def remove(name: str) -> Do:
    return lambda folder: (folder / name).unlink()


def link(name: str) -> Do:
    """Move a file, or a folder, out of the store and leave a link to it."""

    def do(folder: Path) -> None:
        place = folder / name if name else folder
        outside = folder.parents[2] / "outside" / "moved"
        shutil.move(place, outside)
        place.symlink_to(outside)

    return do


def link_model(folder: Path) -> None:
    link("")(folder.parent)


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(path.parent)  # a socket's path must be short
        server.bind(path.name)
        os.chdir(before)


def swap(folder: Path) -> None:
    seal(
        folder,
        predict_onnx=(folder / PASSES).read_bytes(),
        passes_onnx=(folder / PREDICT).read_bytes(),
    )


def zeros(bytes: int) -> Do:  # noqa: A002
    def do(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(bytes)  # sparse, so that it takes no room on the disk

    return do


FILES = {
    **{
        f"{name} is missing": Damage(remove(name), name)
        for name in (PREDICT, PASSES, CARD, calibration_file.FILE, MANIFEST)
    },
    **{
        f"{name} is cut off": Damage(cut(name), rf"{name}: holds \S+ bytes, the manifest says")
        for name in (PREDICT, PASSES, CARD, calibration_file.FILE)
    },
    "the manifest is cut off": Damage(cut(MANIFEST), r"manifest.json: Invalid JSON: "),
    "a file has grown": Damage(
        lambda folder: os.truncate(folder / CARD, 10**6), "card.html: holds 1,000,000 bytes; expected at most"
    ),
    "a file has grown beyond all memory": Damage(
        instead(PASSES, zeros(10**12)), "passes.onnx: holds 1,000,000,000,000"
    ),
    "another content": Damage(
        lambda folder: (folder / CARD).write_bytes(PAGE.swapcase()),
        "card.html: sha256 is .*, the manifest says",
    ),
    "a wrong size is stated": Damage(size(CARD, 9), "card.html: holds 140 bytes; expected at most 9"),
    "a huge size is stated": Damage(size(CARD, 10**15), "lists card.html with 1,000,000,000,000,000 bytes"),
    "a graph of 4 GiB": Damage(size(PREDICT, 2**32), "lists predict.onnx with 4,294,967,296 bytes"),
    "a calibration of 1 GiB": Damage(
        size(calibration_file.FILE, 2**30), "lists calibration.npz with 1,073,741,824 bytes; at most"
    ),
    "a large file that no bundle has": Damage(
        each(put(notes_bin=b""), size("notes.bin", 2**27)), "lists notes.bin with 134,217,728 bytes; at most"
    ),
    "a large file of another digest": Damage(
        each(instead(calibration_file.FILE, zeros(2**29)), size(calibration_file.FILE, 2**29)),
        "calibration.npz: sha256 is .*, the manifest says",
    ),
    "weights beyond all memory": Damage(
        each(put(weights_bin=b""), size("weights.bin", 10**15)),
        "lists weights.bin with 1,000,000,000,000,000 bytes",
    ),
    "the graphs are swapped": Damage(swap, "predict.onnx: input 'drop' is .*; in the manifest it is missing"),
    "a file is a link": Damage(link(PREDICT), "predict.onnx: missing, or not a plain file"),
    "the manifest is a link": Damage(link(MANIFEST), "manifest.json: missing, or not a plain file"),
    "the version is a link": Damage(link(""), "tabular/1: is a link; only the store itself"),
    "the model is a link": Damage(link_model, "tabular: is a link; only the store itself"),
    "a file is a link to nowhere": Damage(
        instead(CARD, lambda path: path.symlink_to("nowhere")), "card.html: missing, or not"
    ),
    "a file is a link to itself": Damage(
        instead(CARD, lambda path: path.symlink_to(path)), "card.html: missing, or not"
    ),
    "a file is a pipe": Damage(instead(PREDICT, os.mkfifo), "predict.onnx: missing, or not a plain file"),
    "the manifest is a pipe": Damage(instead(MANIFEST, os.mkfifo), "manifest.json: missing, or not"),
    "a file is a socket": Damage(instead(CARD, listen), "card.html: missing, or not a plain file"),
    "a file is a folder": Damage(instead(CARD, Path.mkdir), "card.html: missing, or not a plain file"),
    "another version is stated": Damage(say(version=2), "says tabular/2, but the folder is tabular/1"),
    **{
        f"it lists {name[:20]!r}": Damage(listing(name), "which is not a plain file of the bundle")
        for name in (
            *(
                "../../../outside/secret",
                "/etc/hostname",
                "sub/file",
                "sub\\file",
                "C:file",
                "",
                ".",
                "..",
                ".x",
            ),
            *("a" * 129, "a\tb", "a b", "é", "card.html:stream", "predict.onnx/"),
        )
    },
    "it lists a name twice": Damage(replace('"card.html"', '"predict.onnx"'), '"predict.onnx" appears twice'),
    "it lists a name that differs by its case": Damage(
        listing("Predict.onnx"), "which is the same file as predict.onnx on some systems"
    ),
    "it lists the manifest": Damage(listing(MANIFEST), r"lists manifest.json"),
    "it lists no graph": Damage(say(files={}), r"lists no predict.onnx"),
}
