"""NPZ files: rows of any shape in an array ``x``, and their targets in an array ``y``."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import ROWS, Input
from caveat.training.data.dataset import Dataset
from caveat.training.data.target import encode_target, infer_task
from caveat.training.errors import DataError
from caveat.training.vocabulary import Task


def read_arrays(path: Path, task: Task | None) -> Dataset:
    """Read the arrays ``x``, shape (B, ...), and ``y``, shape (B,), of an NPZ file. Pickles are refused.

    For T targets, which are named y0, y1 and so on, ``y`` has shape (B, T).

    Raises
    ------
    DataError
        If an array is missing, has another shape or type, or holds a number that is not finite.
    """
    arrays = load_arrays(path)
    missing = [name for name in ("x", "y") if name not in arrays]
    if missing:
        found = ", ".join(arrays) or "nothing"
        raise DataError(f"{path}: no array {missing[0]!r}; expected x and y, the file holds {found}")
    x, y = arrays["x"], arrays["y"]
    if x.dtype.kind not in "biuf" or x.ndim < 2:
        raise DataError(f"{path}: x is {_describe(x)}; expected numbers of shape (rows, ...)")
    check_targets(y, f"{path}: y")
    if y.ndim != 1 and not (y.ndim == 2 and y.shape[1] > 1):
        raise DataError(
            f"{path}: y is {_describe(y)}; expected shape (rows,), or (rows, targets) for several targets"
        )
    if len(x) != len(y):
        raise DataError(f"{path}: x has {len(x)} rows and y has {len(y)}; expected equal numbers")
    _refuse_not_finite(y, f"{path}: y")
    with np.errstate(over="ignore"):
        rows = x.astype(np.float32)
    _refuse_not_finite(rows, f"{path}: x")
    task = task or infer_task(y)
    encoded, classes = encode_target(y, task, f"{path}: y")
    return Dataset(
        name=path.stem,
        task=task,
        input=Input(name="x", dtype="float32", shape=(ROWS, *x.shape[1:])),
        x=rows,
        y=encoded,
        target="y" if y.ndim == 1 else None,
        targets=None if y.ndim == 1 else tuple(f"y{k}" for k in range(y.shape[1])),
        classes=classes,
    )


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Load all arrays of an NPZ file; pickles are refused.

    Raises
    ------
    DataError
        If it is none, or an array is damaged or holds Python's objects.
    """
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not an NPZ file; expected .npz with arrays")
    with np.load(path, allow_pickle=False) as file:
        return {name: _array(file, name, path) for name in file.files}


def _array(file: Any, name: str, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = file[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: {name}: {error}; expected an array of numbers or text") from None
    return array


def check_targets(y: NDArray[Any], where: str) -> None:
    """Refuse targets that are neither numbers nor booleans nor text.

    Raises
    ------
    DataError
        With their type.
    """
    if y.dtype.kind not in "biufU":
        hint = '; convert them with y.astype("U")' if y.dtype.kind == "S" else ""
        raise DataError(f"{where} is {_describe(y)}; expected numbers, booleans or text{hint}")


def _describe(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _refuse_not_finite(array: NDArray[Any], where: str) -> None:
    bad = int((~np.isfinite(array)).sum()) if array.dtype.kind == "f" else 0
    if bad:
        raise DataError(f"{where}: {bad} of {array.size} values are missing or infinite in {array.dtype}")
