"""Keys of JSON objects: parsers keep the last of two equal ones without a word, so these are refused."""

import re
from typing import Any, Final

import orjson

from caveat.models.bundles.words import shortened
from caveat.models.errors import InputError

_KEY_END: Final = re.compile(rb'"[ \t\r\n]*+:')

_TOKEN: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")([ \t\r\n]*+:)?+|[{}]', re.DOTALL)


def count(rows: Any) -> int:
    """Count the keys of rows, or of the rows of several inputs by name; what is deeper fits no model."""
    if isinstance(rows, dict):
        return len(rows) + sum(map(_of_records, rows.values()))
    return _of_records(rows)


def _of_records(rows: Any) -> int:
    return sum(len(row) for row in rows if isinstance(row, dict)) if isinstance(rows, list) else 0


def refuse_repeated(raw: bytes, expected: int) -> None:
    """Refuse JSON in which an object has a key twice.

    Parameters
    ----------
    raw
        Valid JSON.
    expected
        How many keys the parsed objects have. More are looked for only where more may be written: every key
        ends with a quotation mark and a colon.

    Raises
    ------
    InputError
        Naming the key.
    """
    if raw.count(b":") != expected and len(_KEY_END.findall(raw)) != expected:
        name = _repeated(raw)
        if name is not None:
            raise InputError(shortened(name), "one value", "several; send each field once")


def _repeated(raw: bytes) -> str | None:
    r"""Find the first key that an object has twice.

    >>> _repeated(rb'{"a": {"a": "\"b\": {"}, "\u0061": 3}')
    'a'
    """
    known: list[set[str]] = []
    for token in _TOKEN.finditer(raw):
        if token[0] == b"{":
            known.append(set())
        elif token[0] == b"}":
            known.pop()
        elif token[2]:
            name = orjson.loads(token[1])
            if name in known[-1]:
                return str(name)
            known[-1].add(name)
    return None
