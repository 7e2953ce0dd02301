"""JSON that every parser reads as the same values."""

import json
import math
import re
from collections import Counter
from typing import Any, Final

from caveat.models.errors import CONTROL, one_line

_DEEPEST: Final = 64

_CONTROLS: Final = re.compile(f"[{CONTROL}]")


def check(content: bytes) -> None:
    """Refuse JSON that parsers may read as different values, or that can't be printed or written back.

    Raises
    ------
    ValueError
        If the content is not JSON in UTF-8, has a name twice in an object, a number that is not finite or
        text with control characters, or nests more than 64 levels deep.
    """
    try:
        value = json.loads(
            content.decode(), object_pairs_hook=_once, parse_constant=_finite, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check(value, _DEEPEST)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{_short(twice)} appears twice in an object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if _CONTROLS.search(value):
            raise ValueError(f"{_short(value)} has control characters")
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError("nested too deeply")
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _check(item, depth - 1)


def _short(text: str) -> str:
    return f'"{one_line(text[:60])}"'
