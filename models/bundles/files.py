"""Reads the files of a bundle: plain ones in its folder, whole, once, and none that is larger than said."""

import os
import stat
from pathlib import Path
from typing import Final

from caveat.models.errors import CaveatError, one_line

# A link is not followed, and a pipe that nobody writes to is not waited for.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class BundleError(CaveatError):
    """A folder that is not a sound bundle; the message names the file and what is wrong with it."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class IncompleteError(BundleError):
    """A folder that has less than a bundle, as one that is being copied has."""


def read(path: Path, most: int) -> bytes:
    """Read a plain file.

    A hard link is a file like any other: that its content has another name elsewhere can't be told.

    Raises
    ------
    BundleError
        If it is not there (an `IncompleteError`), is a link, a folder, a pipe or a device, or holds more than
        ``most`` bytes.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # to open a device may do something already
            raise FileNotFoundError
        with open(os.open(path, _FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError
            if status.st_size > most:
                raise BundleError(f"{path}: holds {status.st_size:,} bytes; expected at most {most:,}")
            content = file.read(status.st_size + 1)
    except (FileNotFoundError, NotADirectoryError):
        kind = BundleError if os.path.lexists(path) else IncompleteError
        raise kind(f"{path}: missing, or not a plain file of the bundle") from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    if len(content) > status.st_size:
        raise BundleError(f"{path}: grows while it is read")
    return content
