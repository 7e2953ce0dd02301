"""Reads the files of a bundle: plain files of a limited size, each read once and whole."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO, Final

from caveat.models.errors import CaveatError, one_line

# Opening a link fails; opening a pipe that has no writer does not wait for one.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


_LOCK: Final = 10.0
"""Seconds to wait for a lock."""

_PAUSE: Final = 0.01
"""Seconds between two tries to get it."""


_PIECE: Final = 2**20
"""Bytes that are hashed at once."""


class BundleError(CaveatError):
    """A folder that is not a valid bundle; the message names the file and the fault."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class IncompleteError(BundleError):
    """A folder that lacks a part of a bundle, such as one that is still being copied."""


def read(path: Path, most: int) -> bytes:
    """Read a plain file.

    A hard link counts as a plain file: the system does not say whether a name is the file's first.

    Raises
    ------
    BundleError
        If the file is a link, a folder, a pipe or a device, or holds more than ``most`` bytes.
    IncompleteError
        If the file is missing.
    """
    with opened(path, most) as (file, status):
        content = file.read(status.st_size + 1)
    if len(content) > status.st_size:
        raise BundleError(f"{path}: grows while it is read")
    return content


def digest(path: Path, most: int) -> tuple[int, str]:
    """Hash a plain file without holding it; give its size and its sha256. See `read`."""
    found, size = hashlib.sha256(), 0
    with opened(path, most) as (file, status):
        while size < status.st_size and (piece := file.read(min(_PIECE, status.st_size - size))):
            found.update(piece)
            size += len(piece)
    return size, found.hexdigest()


@contextmanager
def locked(descriptor: int) -> Iterator[bool]:
    """Hold a lock on a file or folder for the length of a block, and tell whether it was to be had in time.

    Some file systems have no locks, and whoever can read a file can hold its lock for ever.
    """
    import fcntl  # not on Windows

    until = monotonic() + _LOCK
    held = False
    while not held and monotonic() < until:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            sleep(_PAUSE)
        except OSError:
            break
    try:
        yield held
    finally:
        if held:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def opened(path: Path, most: int) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a plain file; see `read`."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # opening a device can have an effect of its own
            raise FileNotFoundError
        with open(os.open(path, _FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError
            if status.st_size > most:
                raise BundleError(f"{path}: holds {status.st_size:,} bytes; expected at most {most:,}")
            yield file, status
    except (FileNotFoundError, NotADirectoryError):
        kind = BundleError if os.path.lexists(path) else IncompleteError
        raise kind(f"{path}: missing, or not a plain file of the bundle") from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
