"""The service's keys: read from a file or from a setting, and kept only as hashes."""

import re
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import PlainValidator

SHORTEST: Final = 16
"""Characters of a key at least."""

_HASH: Final = re.compile("sha256:([0-9a-fA-F]{64})")
_KEY: Final = re.compile(f"[!-~]{{{SHORTEST},}}")
_EXPECTED: Final = (
    f"a key of {SHORTEST} characters or more without blanks, or sha256: and the 64 hex digits of its hash"
)


class Keys:
    """A set of keys, kept as hashes.

    Parameters
    ----------
    hashes
        SHA-256 of each key, 32 bytes.
    """

    def __init__(self, hashes: Iterable[bytes]) -> None:
        self.hashes = tuple(dict.fromkeys(hashes))

    @classmethod
    def given(cls, value: str) -> Self:
        """Read the value of a setting: the path of a file if it has a ``/`` or a ``.`` in it, else keys.

        Raises
        ------
        ValueError
            If the file can't be read, a line of it or a part between commas is no key, or keys are also
            the name of a file. The message never quotes the value, which may be a mistyped secret.
        """
        if "/" in value or "." in value:
            return cls.of_file(Path(value))
        if Path(value).is_file():
            raise ValueError("a file has this name; to read keys from it, put ./ before the name")
        return cls(_hashed(key.strip(), f"key {number}") for number, key in enumerate(value.split(","), 1))

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Read a file with one key per line; blank lines and lines that begin with ``#`` are skipped."""
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ValueError(
                f"a value with / or . in it names a file of keys, which can't be read: {reason}"
            ) from None
        hashes = [
            _hashed(line.strip(), f"line {number} of the file of keys")
            for number, line in enumerate(lines, 1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
        if not hashes:
            raise ValueError("the file of keys holds no keys")
        return cls(hashes)

    def hold(self, key: bytes) -> bool:
        """Tell whether a key is among these, in a time that does not depend on how close it is."""
        return self.find(key) is not None

    def find(self, key: bytes) -> int | None:
        """Find the number of a key, in a time that does not depend on how close it is; None if unknown."""
        shown = sha256(key).digest()
        found = 0
        for number, known in enumerate(self.hashes, 1):
            found += number * compare_digest(shown, known)
        return found - 1 if found else None


KeysSetting = Annotated[Keys, PlainValidator(Keys.given)]
"""Keys, read from the value of a flag or an environment variable."""


def _hashed(key: str, where: str) -> bytes:
    found = _HASH.fullmatch(key)
    if not found and (key.startswith("sha256:") or not _KEY.fullmatch(key)):
        raise ValueError(f"{where}: expected {_EXPECTED}")
    known = bytes.fromhex(found[1]) if found else sha256(key.encode()).digest()
    if known == sha256().digest():
        raise ValueError(f"{where}: is the hash of an empty text, such as an unset variable")
    return known
