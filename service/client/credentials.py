"""The client's key, read from a file or the environment; no command line or message ever holds it."""

import os
import re
from pathlib import Path

from caveat.models.errors import CaveatError

VARIABLE = "CAVEAT_API_KEY"


def headers(file: Path | None) -> dict[str, str]:
    """Write the Authorization header with the key in ``file``, or with the environment's if that is None.

    Returns
    -------
    headers
        The header by name; empty if the environment has no key.

    Raises
    ------
    CaveatError
        If the file can't be read, or does not hold exactly one key.
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
