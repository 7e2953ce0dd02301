"""The key that a client shows, which never stands on a command line, nor in a message."""

import os
import re
from pathlib import Path

from caveat.models.errors import CaveatError

VARIABLE = "CAVEAT_API_KEY"


def headers(file: Path | None) -> dict[str, str]:
    """Write the header that shows the key in a file, or else that of the environment; none if there is none.

    Raises
    ------
    CaveatError
        If the file can't be read, or holds anything but one key.
    """
    try:
        key = os.environ.get(VARIABLE, "") if file is None else file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise CaveatError(f"{file}: {error.strerror if isinstance(error, OSError) else 'not text'}") from None
    key = key.strip()
    if file is None and not key:
        return {}
    if not re.fullmatch("[!-~]+", key):
        raise CaveatError(f"{file or VARIABLE}: expected one key, without blanks")
    return {"Authorization": f"Bearer {key}"}
