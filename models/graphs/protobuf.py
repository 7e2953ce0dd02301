"""The wire format of protocol buffers: enough to read the fields of any message."""

from collections.abc import Iterator
from typing import Final

Value = int | memoryview
"""A number, or the bytes of a text, of a nested message, or of numbers of a fixed width."""

CUT_OFF: Final = "is cut off, or no ONNX file"
_MALFORMED: Final = "is not a valid protocol buffer"

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_WIDTHS: Final = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_LONGEST: Final = 10  # bytes of a number


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Iterate over the fields of a message, in their order in the message.

    Yields
    ------
    tuple
        The number of a field, and its value.

    Raises
    ------
    ValueError
        If the message is cut off or malformed.

    Examples
    --------
    >>> list(fields(memoryview(bytes([0x08, 0x96, 0x01]))))
    [(1, 150)]
    """
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _number(message, at)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            width, at = _number(message, at)
        elif kind in _WIDTHS:
            width = _WIDTHS[kind]
        else:
            raise ValueError(_MALFORMED)
        if width > len(message) - at:
            raise ValueError(CUT_OFF)
        yield key >> 3, message[at : at + width]
        at += width


def part(value: Value) -> memoryview:
    """Read a value as bytes; raise ValueError if the value is a number."""
    if isinstance(value, int):
        raise ValueError(_MALFORMED)
    return value


def text(value: Value) -> str:
    """Read a value as text; raise ValueError if the value is a number."""
    return bytes(part(value)).decode(errors="replace")


def integers(value: Value) -> Iterator[int]:
    """Iterate over the signed integers of a repeated field: one, or several that are packed."""
    if isinstance(value, int):
        yield signed(value)
        return
    at = 0
    while at < len(value):
        number, at = _number(value, at)
        yield signed(number)


def signed(number: int) -> int:
    """Read a number as one of 64 bits with a sign.

    >>> signed(2**64 - 1)
    -1
    """
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number


def _number(message: memoryview, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 0x80:  # most numbers take one byte
        return message[at], at + 1
    number = 0
    for place, byte in enumerate(message[at : at + _LONGEST]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise ValueError(CUT_OFF if at + _LONGEST > len(message) else _MALFORMED)
