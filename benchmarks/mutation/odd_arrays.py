"""Changes to archives of arrays: the calibration of a bundle, and the file of its example."""

import io
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np


def changed(content: bytes | None, shape: Sequence[int], random: Random) -> bytes:
    """Change an archive, or make one of rows of a shape."""
    arrays = _read(content) if content else {}
    if not arrays or random.random() < 0.2:
        arrays = {"arr_0": np.ones((2, *shape)), "truth": np.zeros(20)}
    key = random.choice(sorted(arrays))
    if random.random() < 0.2:
        return _bomb(key, random)
    arrays[key] = _array(arrays[key], random)
    return _archive(arrays)


def _read(content: bytes) -> dict[str, Any]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=True) as found:
            return dict(found)
    except Exception:  # an earlier change left no archive; NumPy's errors have no other base class
        return {}


def _array(array: Any, random: Random) -> Any:
    odd = (float("nan"), float("inf"), -1, 0, 1e300, 2**62, -(2**63))
    changes: tuple[Callable[[], Any], ...] = (
        lambda: array[:-1],
        lambda: array[:0],
        lambda: np.full_like(array, random.choice(odd), dtype=np.float64),
        lambda: array.astype(random.choice(("U5", "S3", "?", "c16", "f2", "i1", "M8[s]", "object"))),
        lambda: array.reshape(-1),
        lambda: array[..., None],
        lambda: np.repeat(array, 100, axis=0),
        lambda: np.float64(1),
        lambda: array.ravel()[::-1].reshape(array.shape),
        lambda: np.zeros(len(array), [("a", "f4"), ("b", "O")]),
    )
    with np.errstate(all="ignore"):
        return random.choice(changes)()


def _archive(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            with archive.open(_entry(key), "w") as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=True)
    return buffer.getvalue()


def _entry(key: str) -> zipfile.ZipInfo:
    """Name an array in an archive, at a fixed time, so that a seed makes the same bytes again."""
    entry = zipfile.ZipInfo(f"{key}.npy")
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _bomb(key: str, random: Random) -> bytes:
    """Make an archive whose array says that it has, or does have, far more numbers than its size tells."""
    buffer = io.BytesIO()
    sizes = (10**7, 10**15, 10**30, -1)
    shape = random.choice(((10**7,), (random.choice(sizes), 3), (1,) * 70, (0, 999_999_999, 999_999_999)))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_entry(key), "w", force_zip64=True) as file:
            head = {
                "descr": random.choice(("<f8", "<f4", "|O", "<U99999999")),
                "fortran_order": False,
                "shape": shape,
            }
            np.lib.format.write_array_header_1_0(file, head)
            for _ in range(random.choice((0, 0, 1, 1, 1, 100))):
                file.write(bytes(2**20))
        if random.random() < 0.3:
            archive.writestr(_entry("../../outside"), b"x")
    return buffer.getvalue()
