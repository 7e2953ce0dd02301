"""The base class of errors that a user causes, and safe printing of text from outside."""

import re
from collections.abc import Sequence
from typing import Final

CONTROL: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""Characters that act on a terminal or a log, or that UTF-8 can't encode: the inside of a regular
expression's ``[...]``. A tab and a line feed are not among them.
"""

_LONGEST: Final = 500


class CaveatError(ValueError):
    """A user's mistake: the message says what was wrong, where, and what was expected."""


class InputError(CaveatError):
    """A request that does not fit a model.

    Parameters
    ----------
    where
        Path of the first value that does not fit, as a client writes it, such as ``inputs[3].age``.
    expected, got
        What the model takes at that path, and what the request has there.
    rows
        All rows that do not fit, if they are known.
    """

    def __init__(self, where: str, expected: str, got: str, rows: Sequence[int] = ()) -> None:
        super().__init__(f"{where}: expected {expected}, got {got}{_others(rows)}")
        self.where = where
        self.expected = expected
        self.got = got
        self.rows = tuple(rows)


def described(error: Exception) -> str:
    """Say what an error says; that of no user's mistake with its kind.

    >>> described(CaveatError("no such file")), described(KeyError("a"))
    ('no such file', "KeyError: 'a'")
    """
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _others(rows: Sequence[int]) -> str:
    """List further rows that do not fit, if there are any.

    >>> _others([3]), _others([3, 7, 8])
    ('', '; 3 rows do not fit: 3, 7, 8')
    """
    if len(rows) < 2:
        return ""
    listed = ", ".join(map(str, rows[:10]))
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    return f"; {len(rows)} rows do not fit: {listed}{more}"


def one_line(text: str) -> str:
    r"""Write text from outside as one line of at most 500 characters, with control characters escaped.

    >>> one_line("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    shown = re.sub(rf"[{CONTROL}\t\n]", lambda found: ascii(found[0])[1:-1], text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
