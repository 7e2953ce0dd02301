"""Damages to the calibration of a bundle."""

import io
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from caveat.models.tasks import calibration_file
from tests.models.damage.damage import Damage, Do, edit, manifest, put, seal


def arrays(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=True, **columns)
    return buffer.getvalue()


ROWS = 199


def arrays_of(**changes: Any) -> Do:
    """Change arrays of the calibration; None removes an array."""

    def do(folder: Path) -> None:
        with np.load(folder / calibration_file.FILE) as found:
            changed = {name: array for name, array in (dict(found) | changes).items() if array is not None}
        seal(folder, calibration_npz=arrays(**changed))

    return do


def bomb() -> bytes:
    """Make a calibration that unpacks to a thousand times its size: 200 MB."""
    buffer = BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("truth.npy", "w", force_zip64=True) as file,
    ):
        head = {"descr": "<i8", "fortran_order": False, "shape": (10**8,)}
        np.lib.format.write_array_header_1_0(file, head)
        for _ in range(200):
            file.write(bytes(2**20))
    return buffer.getvalue()


def lying_bomb() -> bytes:
    """Make a calibration with an array whose header states more numbers than it holds."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("truth.npy", "w") as file:
        head = {"descr": "<i8", "fortran_order": False, "shape": (10**15,)}
        np.lib.format.write_array_header_1_0(file, head)
    return buffer.getvalue()


CALIBRATIONS = {
    "no archive": Damage(put(calibration_npz=b"junk"), "calibration.npz: not the arrays of a calibration"),
    "an archive that unpacks to 200 MB": Damage(
        put(calibration_npz=bomb()), r"truth takes 209,715,\S+ bytes; expected numbers of shape \(199,\)"
    ),
    "an array that says it is huge": Damage(
        put(calibration_npz=lying_bomb()), "not the arrays of a calibration"
    ),
    "objects": Damage(
        arrays_of(truth=np.array([{}] * ROWS)), "not the arrays of a calibration: Object arrays"
    ),
    "an array is missing": Damage(arrays_of(mean=None), "no item named 'mean.npy' in the archive"),
    "fewer rows": Damage(arrays_of(label=np.zeros(3, np.int64)), r"label is int64 of shape \(3,\); expected"),
    "other rows are stated": Damage(
        lambda folder: edit(folder, calibration=manifest(folder)["calibration"] | {"rows": 10**12}),
        r"expected numbers of shape \(1000000000000,\)",
    ),
    "text for numbers": Damage(arrays_of(truth=np.array(["a"] * ROWS)), "truth is <U1 of shape"),
    "not a number": Damage(
        arrays_of(mean=np.full((ROWS, 2), np.nan, np.float32)), "mean has numbers that are not finite"
    ),
    "a class out of range": Damage(arrays_of(truth=np.full(ROWS, 2)), "is not an integer from 0 to 1"),
    "a negative class": Damage(arrays_of(label=np.full(ROWS, -1)), "is not an integer from 0 to 1"),
    "fractions of classes": Damage(arrays_of(truth=np.full(ROWS, 0.5)), "is not an integer from 0 to 1"),
    "negative uncertainty": Damage(
        arrays_of(predictive_entropy=np.full(ROWS, -1.0)), "predictive_entropy is negative"
    ),
}
