"""Arrays as NumPy writes them: for rows so large that JSON would cost more than the network."""

import io
import math

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from models.uncertainty import Columns
from service.errors import RequestError

NPY = "application/x-npy"
NPZ = "application/x-npz"

_HEADER = 10_000  # bytes of an array's description


def read_npy(raw: bytes | bytearray) -> NDArray[np.generic]:
    """Read one array of numbers. Nothing is allocated for what the bytes only claim to hold.

    Raises
    ------
    RequestError
        400 if they are no such array.
    """
    stream = io.BytesIO(raw)
    try:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read_header(stream, max_header_size=_HEADER)
    except (ValueError, KeyError) as error:
        raise RequestError(400, f"not an array as numpy.save writes it: {error}") from None
    if dtype.kind not in "iuf":
        raise RequestError(400, f"an array of {dtype}; expected one of numbers")
    stated, held = math.prod(shape) * dtype.itemsize, len(raw) - stream.tell()
    if stated != held:
        raise RequestError(400, f"the array's header speaks of {stated} bytes; {held} follow")
    array = np.frombuffer(raw, dtype, offset=stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


def write_npy(array: NDArray[np.generic]) -> bytes:
    """Write one array."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def write_npz(columns: Columns) -> bytes:
    """Write arrays by name; equal arrays give equal bytes."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **columns)
    return stream.getvalue()
