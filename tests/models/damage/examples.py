"""Damages to the file of a bundle's example."""

import io
import zipfile
from typing import Any

import numpy as np

from tests.models.damage.damage import Damage, put


def arrays(*columns: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, *columns, allow_pickle=True)
    return buffer.getvalue()


def bomb() -> bytes:
    """Make an example that unpacks to a thousand times its size: 300 MB."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as file,
    ):
        head = {"descr": "<f4", "fortran_order": False, "shape": (10**8, 3)}
        np.lib.format.write_array_header_1_0(file, head)
        for _ in range(300):
            file.write(bytes(2**20))
    return buffer.getvalue()


WORDS = "example.npz: not the arrays of an example"

EXAMPLES = {
    "no archive as an example": Damage(put(example_npz=b"junk"), WORDS),
    "an example without arrays": Damage(put(example_npz=arrays()), WORDS),
    "an example that unpacks to 300 MB": Damage(put(example_npz=bomb()), f"{WORDS}: .* takes 314,"),
    "an example of objects": Damage(put(example_npz=arrays(np.array([[None] * 3]))), WORDS),
    "a file of other rows as an example": Damage(put(example_npz=arrays(np.ones((1, 4)))), WORDS),
    "an example with NaN": Damage(put(example_npz=arrays(np.full((1, 3), np.nan))), WORDS),
}
