"""Arrays in NumPy's file formats, for rows so large that JSON would cost more than the network."""

import io
import math
import re
import struct
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.service.rest.problems import RequestError

NPY = "application/x-npy"
NPZ = "application/x-npz"

_LONGEST = 10_000  # bytes of an array's header

_MOST_AXES = 32  # every NumPy takes so many

_LENGTH = {(1, 0): "<H", (2, 0): "<I"}  # struct format of the header's length, by version of the file format

# NumPy would evaluate the header as a Python literal; a header from a client is matched instead.
_SIZE = rb"(?:0|[1-9][0-9]{0,17}) *+"
_SIZES = rb"\( *+(?:%b, *+(?:%b(?:, *+%b)*+(?:, *+)?+)?+)?+\)" % (_SIZE, _SIZE, _SIZE)
_DTYPE = rb"'[<>=|]?[biufcmMOSUV][0-9]{0,18}'"
_ITEM = rb" *+'(descr|fortran_order|shape)' *+: *+(%b|True|False|%b) *+" % (_DTYPE, _SIZES)
_DESCRIPTION = re.compile(rb"\{%b,%b,%b(?:, *+)?+\} *+\n?" % (_ITEM, _ITEM, _ITEM))

_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, MemoryError, struct.error)
"""What reading the head of an array may raise."""


def read_npy(raw: bytes | bytearray) -> NDArray[np.generic]:
    """Read one array of numbers. The size that the header claims is checked before anything is allocated.

    Raises
    ------
    RequestError
        400 if the bytes are not one array of numbers.
    """
    stream = io.BytesIO(raw)
    try:
        version = npy.read_magic(stream)
        (length,) = struct.unpack(_LENGTH[version], stream.read(struct.calcsize(_LENGTH[version])))
        shape, fortran, dtype = _described(stream.read(min(length, _LONGEST)))
        if dtype.kind not in "iuf":
            raise RequestError(400, f"an array of {dtype}; expected an array of numbers")
        stated, held = math.prod(shape) * dtype.itemsize, len(raw) - stream.tell()
        if stated != held:
            raise RequestError(400, f"the array's header states {stated} bytes; {held} follow")
        array = np.frombuffer(raw, dtype, offset=stream.tell())
        return array.reshape(shape, order="F" if fortran else "C")
    except _UNREADABLE as error:
        raise RequestError(400, f"not an array as numpy.save writes it: {error}") from None


def _described(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the shape, the order (whether Fortran's) and the dtype of an array from its header."""
    found = _DESCRIPTION.fullmatch(header)
    fields = dict(zip(found.groups()[::2], found.groups()[1::2], strict=True)) if found else {}
    begins = b"".join(fields.get(name, b"")[:1] for name in (b"descr", b"fortran_order", b"shape"))
    if begins not in (b"'T(", b"'F("):
        raise ValueError("its header does not state descr, fortran_order and shape")
    shape = tuple(map(int, re.findall(rb"[0-9]+", fields[b"shape"])))
    if len(shape) > _MOST_AXES:
        raise ValueError(f"its shape has {len(shape)} axes; at most {_MOST_AXES} are read")
    return (
        shape,
        fields[b"fortran_order"] == b"True",
        np.dtype(fields[b"descr"].strip(b"'").decode("latin-1")),
    )


def write_npy(array: NDArray[np.generic]) -> bytes:
    """Write one array as .npy."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def write_npz(columns: Columns) -> bytes:
    """Write named arrays as .npz; equal arrays give equal bytes."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **columns)
    return stream.getvalue()
