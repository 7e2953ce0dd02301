"""The mistakes that a user can make, as one family."""

import re
from typing import Final

CONTROL: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""Characters that would act on a terminal or on a log, or that no UTF-8 has; as a class of a pattern.

A tab and the end of a line are not among them.
"""

_LONGEST: Final = 500


class CaveatError(ValueError):
    """A user's mistake: the message says what was wrong, where, and what was expected."""


def one_line(text: str) -> str:
    r"""Write text from elsewhere so that it stays one line, and not too long a one.

    >>> one_line("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    shown = re.sub(rf"[{CONTROL}\t\n]", lambda found: ascii(found[0])[1:-1], text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
