"""Reading a large body piece by piece: parsing holds little besides the arrays that it makes.

Parsed as a whole, a list of one number takes twenty times the memory of its bytes, and nothing else in the
process runs meanwhile. Here the shape of the rows decides where the bytes are cut, and the first piece that
does not fit ends the reading.
"""

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from caveat.models.bundles.records import encode_features, of_all
from caveat.models.bundles.signature import ROWS as ROWS_AXIS
from caveat.models.bundles.signature import Dimension, Input, in_words
from caveat.models.errors import InputError
from caveat.service.rest.content import keys
from caveat.service.rest.content.document import PIECE, ROWS, ends, numbers
from caveat.service.rest.problems import RequestError

LARGE: Final = 2**17
"""Bytes (128 KiB) from which a body is read in pieces."""

_LONG: Final = 2**18
"""Bytes (256 KiB) within which a row of numbers ends, or else it is read in pieces, too."""

_BATCH: Final = 2**16
"""Bytes (64 KiB) of rows with named features to parse at a time."""

_MOST: Final = 2**20
"""Bytes (1 MiB) of a row's texts, of blanks, and of all that a body holds besides its rows, at most."""

_SHOWN: Final = 2**12
"""Bytes of an item of another kind, such as a text, that are parsed to describe it."""

_BEGINNING: Final = re.compile(rb'"%b"[ \t\r\n]*+:[ \t\r\n]*+' % ROWS.encode())
_MEMBER: Final = re.compile(rb'[ \t\r\n]*+("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_EMPTY: Final = re.compile(rb"[ \t\r\n]*+\]")
_LIST: Final = re.compile(rb"[ \t\r\n]*+\[")
_CLOSE: Final = re.compile(rb"[ \t\r\n]*+([,\]}])")
_RECORD_END: Final = re.compile(rb"\}[ \t\r\n]*+(?:(?=,[ \t\r\n]*+\{)|(?=\]))")
_LAST_RECORD_END: Final = re.compile(rb"\}[ \t\r\n]*+(?=\])")
_RECORD: Final = re.compile(
    rb'[ \t\r\n]*+\{(?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+\}[ \t\r\n]*+(?=[,\]])', re.DOTALL
)
_BLANKS: Final = re.compile(r"[ \t\r\n]*+")
_KINDS: Final = {"[": "a list", "{": "an object", '"': "a text"}


class Items(Protocol):
    """What the items of a list are to be."""

    kind: str
    """How an item begins; empty for a number."""
    expected: str
    """What an item is to be, in words."""
    most: int
    """Bytes of an item at most."""

    def cuts(self, raw: bytes | bytearray, at: int) -> Iterator[int]:
        """Guess where whole items end; the last guess is the best."""

    def array(self, items: bytes, where: str, first: int) -> NDArray[Any]:
        """Parse items; JSONDecodeError if they were cut in the wrong place, or are not JSON."""

    def check(self, item: Any, where: str, index: int) -> None:
        """Refuse an item that does not fit."""


class Numbers:
    """Items that are numbers, or nested lists of them in a shape."""

    def __init__(self, spec: Input, shape: tuple[Dimension, ...]) -> None:
        self.spec = Input(name=spec.name, dtype=spec.dtype, shape=(ROWS_AXIS, *shape), below=spec.below)
        self.kind = "[" if shape else ""
        self.expected = "an integer" if not shape and spec.dtype == "int64" else in_words(shape)
        self.most = 2 * _LONG
        self._item_end, self._list_end = ends(1 + len(shape))

    def cuts(self, raw: bytes | bytearray, at: int) -> Iterator[int]:
        """See `Items.cuts`."""
        window = at + PIECE + _LONG
        if found := self._item_end.search(raw, at + PIECE, window):
            yield found.end() - 1
        if found := self._list_end.search(raw, at, window):
            yield found.end() - 1
        several = deque(self._item_end.finditer(raw, at, at + PIECE), 1)
        if found := several[0] if several else self._item_end.search(raw, at, window):
            yield found.end() - 1

    def array(self, items: bytes, where: str, first: int) -> NDArray[Any]:
        """See `Items.array`."""
        parsed: Any
        try:
            parsed = numbers(items, self.spec.shape, self.spec.dtype)
        except (ValueError, TypeError, KeyError, RuntimeError):  # integers of more than 64 bits, or misfits
            parsed = orjson.loads(b"[%b]" % items)
            self.spec.refuse_misfits(parsed, where, first)
        return self.spec.encode(parsed, where, first)

    def check(self, item: Any, where: str, index: int) -> None:
        """See `Items.check`."""
        self.spec.refuse_misfits([item], where, index)
        self.spec.encode([item], where, index)


class Records:
    """Items that are objects with one value for each feature."""

    kind = "{"

    def __init__(self, spec: Input) -> None:
        assert spec.features is not None
        self.expected = f"an object with the fields {', '.join(feature.name for feature in spec.features)}"
        self._features = spec.features
        self._dtype = spec.dtype
        self.most = _MOST + sum(64 + 6 * len(feature.name) for feature in spec.features)
        self.unknown: InputError | None = None
        """The error about unknown categories, which names all of the rows so far."""

    def cuts(self, raw: bytes | bytearray, at: int) -> Iterator[int]:
        """See `Items.cuts`."""
        window = at + _BATCH + self.most
        if found := _RECORD_END.search(raw, at + _BATCH, window):
            yield found.end()
        end = at  # the ends above may stand in a text
        while end - at < _BATCH and (found := _RECORD.match(raw, end + (end > at), end + self.most)):
            end = found.end()
            if raw[end : end + 1] == b"]":
                break
        if end > at:
            yield end
        if found := _LAST_RECORD_END.search(raw, at, window):  # of records that hold objects
            yield found.end()

    def array(self, items: bytes, where: str, first: int) -> NDArray[Any]:
        """See `Items.array`."""
        rows = orjson.loads(b"[%b]" % items)
        try:
            array = encode_features(rows, self._features, self._dtype, where, first)
        except InputError as error:
            if not error.rows:
                raise
            # Without its traceback, which would hold the rows of this piece until the last one.
            known = [self.unknown] if self.unknown else []
            self.unknown = of_all([*known, error.with_traceback(None)])
            array = np.zeros((len(rows), len(self._features)), self._dtype)
        keys.refuse_repeated(items, keys.count(rows))
        return array

    def check(self, item: Any, where: str, index: int) -> None:
        """See `Items.check`."""
        encode_features([item], self._features, self._dtype, where, index)


class Reading:
    """Reads the rows of one body.

    Parameters
    ----------
    raw
        The body.
    max_rows
        Rows that it may hold.
    check
        Called between the pieces; what it raises ends the reading.
    """

    def __init__(self, raw: bytes | bytearray, max_rows: int, check: Callable[[], None]) -> None:
        self._raw = raw
        self._max_rows = max_rows
        self._check = check

    def read(self, inputs: Sequence[Input]) -> tuple[Any, bytes]:
        """Read the rows of all inputs.

        Returns
        -------
        rows, rest
            The array of the only input, or the arrays of several by name; and the document with an empty
            list for the rows, not parsed yet, so that it may be invalid JSON.

        Raises
        ------
        RequestError
            400 if the rows are not JSON; 413 if there are too many, or too much besides them.
        InputError
            If the rows do not fit the inputs.
        """
        begin = _BEGINNING.search(self._raw, 0, _MOST)
        if not begin:
            raise InputError(ROWS, f'rows, as "{ROWS}": [...], that begin in the first {_MOST} bytes', "none")
        arrays, end = self._inputs(begin.end(), inputs)
        rest = b"".join([self._raw[: begin.end()], b"[]", self._raw[end : end + _MOST]])
        if len(rest) > _MOST:
            raise RequestError(413, f"the body holds more than {_MOST} bytes besides its rows")
        return arrays if len(inputs) > 1 else arrays[inputs[0].name], rest

    def _inputs(self, at: int, inputs: Sequence[Input]) -> tuple[dict[str, NDArray[Any]], int]:
        """Read the rows at a place, or those of each input by its name; find their end."""
        one = len(inputs) == 1
        if one and _LIST.match(self._raw, at, at + _MOST):
            array, end = self._rows(at, inputs[0], ROWS)
            return {inputs[0].name: array}, end
        specs = {spec.name: spec for spec in inputs}
        expected = "a list of at least one row" if one else f"an object with the fields {', '.join(specs)}"
        arrays: dict[str, NDArray[Any]] = {}
        mark = bytes(self._raw[at : at + 1])
        if mark != b"{":
            raise InputError(ROWS, expected, self._begun(at))
        while mark in (b"{", b","):
            member = _MEMBER.match(self._raw, at + 1, at + 1 + _MOST)
            name = self._name(member) if member else None
            if not member or name not in specs:
                raise InputError(ROWS, expected, "an object with other fields")
            where = ROWS if one else f"{ROWS}.{name}"
            if name in arrays:
                raise InputError(f"{ROWS}.{name}", "one value", "several; send each field once")
            arrays[name], end = self._rows(member.end(), specs[name], where)
            at = self._close(end, where)
            mark = bytes(self._raw[at : at + 1])
        if mark != b"}" or arrays.keys() != specs.keys():
            raise InputError(ROWS, expected, f"an object with {len(arrays)} of them")
        return arrays, at + 1

    def _rows(self, at: int, spec: Input, where: str) -> tuple[NDArray[Any], int]:
        begin = _LIST.match(self._raw, at, at + _MOST)
        if not begin:
            raise InputError(where, "a list of at least one row", self._begun(at))
        if spec.features is None:
            array, end = self._list(begin.end(), spec, spec.shape, where, self._max_rows)
        else:
            records = Records(spec)
            array, end = self._items(begin.end(), records, where, self._max_rows)
            if records.unknown:
                raise records.unknown
        if len(array) > self._max_rows:
            raise too_many(f"{len(array)} rows or more", self._max_rows)
        return array, end

    def _list(
        self, at: int, spec: Input, shape: tuple[Dimension, ...], where: str, most: float
    ) -> tuple[NDArray[Any], int]:
        """Read the numbers of a list behind its bracket; find its end."""

        def inner(at: int, where: str) -> tuple[NDArray[Any], int]:
            size = shape[1]
            array, end = self._list(at, spec, shape[1:], where, size if isinstance(size, int) else math.inf)
            if isinstance(size, int) and len(array) != size:
                more = "" if self._raw[end - 1 : end] == b"]" else " or more"
                raise InputError(where, in_words(shape[1:]), f"a list of {len(array)}{more}")
            return array, end

        return self._items(at, Numbers(spec, shape[1:]), where, most, inner if shape[1:] else None)

    def _items(
        self,
        at: int,
        items: Items,
        where: str,
        most: float,
        inner: Callable[[int, str], tuple[NDArray[Any], int]] | None = None,
    ) -> tuple[NDArray[Any], int]:
        """Read the items of a list behind its bracket, with ``inner`` for a long one; find its end.

        Reading ends once there are more than ``most``.
        """
        if _EMPTY.match(self._raw, at, at + _MOST):
            raise InputError(where, "a list of at least one", "a list of 0")
        array, at = self._piece(at, items, where, 0, inner)
        count, sizes, filled = len(array), array.shape[1:], bytearray()
        while self._raw[at : at + 1] == b"," and count <= most:
            filled += array.data
            self._check()
            array, at = self._piece(at + 1, items, where, count, inner)
            count += len(array)
            if array.shape[1:] != sizes:
                raise InputError(where, "rows of one size", "rows of several sizes")
        if filled:
            filled += array.data
            array = np.frombuffer(filled, array.dtype).reshape(count, *sizes)
        return array, at + 1

    def _piece(
        self,
        at: int,
        items: Items,
        where: str,
        first: int,
        inner: Callable[[int, str], tuple[NDArray[Any], int]] | None,
    ) -> tuple[NDArray[Any], int]:
        """Read some items; find the mark behind them."""
        cut = None
        for cut in items.cuts(self._raw, at):
            try:
                return items.array(bytes(self._raw[at:cut]), where, first), cut
            except orjson.JSONDecodeError:
                continue
        if inner and cut is None and (begin := _LIST.match(self._raw, at, at + _MOST)):
            array, end = inner(begin.end(), f"{where}[{first}]")
            return array[None], self._close(end, where)
        raise self._misfit(at, items, where, first)

    def _misfit(self, at: int, items: Items, where: str, index: int) -> Exception:
        """Find the first item that can't be read, and say why."""
        text = bytes(self._raw[at : at + items.most]).decode(errors="replace")
        place, kind, other = 0, "", False
        try:
            while True:
                place = _blanks(text, place)
                kind = text[place : place + 1]
                other = kind in _KINDS and kind != items.kind
                item, end = _DECODER.raw_decode(text[: place + _SHOWN] if other else text, place)
                if "\\u" in text[place:end]:  # half characters are JSON for this parser alone
                    json.dumps(item, ensure_ascii=False).encode()
                items.check(item, where, index)
                end = _blanks(text, end)
                if text[end : end + 1] != ",":
                    raise ValueError(f"expected a comma or a bracket behind {where}[{index}]")
                place, index = end + 1, index + 1
        except InputError as error:
            return error
        except (ValueError, RecursionError) as error:
            if other:
                return InputError(f"{where}[{index}]", items.expected, _KINDS[kind])
            if kind in _KINDS and at + items.most < len(self._raw):
                what = f"{_KINDS[kind]} of at most {items.most} bytes"
                return InputError(f"{where}[{index}]", what, "a longer one, or no JSON")
            return RequestError(400, f"not JSON, in {where}[{index}]: {error}")

    def _close(self, at: int, where: str) -> int:
        """Find the mark behind a value."""
        close = _CLOSE.match(self._raw, at, at + _MOST)
        if not close:
            raise RequestError(400, f"not JSON: expected a comma or a bracket behind {where}")
        return close.start(1)

    def _begun(self, at: int) -> str:
        """Say what begins at a place."""
        return _KINDS.get(bytes(self._raw[at : at + 1]).decode("latin-1"), "another value")

    def _name(self, member: re.Match[bytes]) -> str:
        try:
            return str(orjson.loads(member[1]))
        except orjson.JSONDecodeError as error:
            raise RequestError(400, f"not JSON: {error}") from None


def too_many(rows: str, limit: int) -> RequestError:
    """Refuse a body with too many rows."""
    return RequestError(413, f"{rows}; one request may hold {limit}, so send several requests")


def _blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    assert found
    return found.end()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
