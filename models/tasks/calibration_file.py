"""The file of a bundle that holds the answers to its calibration rows."""

import io
import math
import zipfile
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.tasks.calibration import Calibration
from caveat.models.tasks.task import TRUTH, Task

FILE: Final = "calibration.npz"

_HEADER: Final = 2**16  # most bytes in front of the numbers of an array
_WIDEST: Final = 8  # most bytes of a number


def read(task: Task, content: bytes) -> Calibration:
    """Read the calibration of a model.

    Raises
    ------
    KeyError, ValueError
        If an array is missing or not valid.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        arrays = {name: _read(archive, name, shape) for name, shape in task.calibration_shapes().items()}
    if (arrays[task.uncertainty] < 0).any():
        raise ValueError(f"{task.uncertainty} is negative")
    return task.calibration(arrays)


def write(truth: NDArray[Any], columns: Columns) -> bytes:
    """Write the file of arrays: the truths of calibration rows, and the columns of the answers."""
    buffer = io.BytesIO()
    kept = {name: column for name, column in columns.items() if name != "passes"}
    np.savez_compressed(buffer, allow_pickle=False, **{TRUTH: truth, **kept})
    return buffer.getvalue()


def _read(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Read an array of numbers; an array that would unpack to more than ``shape`` needs is refused."""
    size = archive.getinfo(f"{name}.npy").file_size
    if size > _HEADER + _WIDEST * math.prod(shape):
        raise ValueError(f"{name} takes {size:,} bytes; expected numbers of shape {shape}")
    with archive.open(f"{name}.npy") as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if array.shape != shape or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; expected numbers of shape {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return array
