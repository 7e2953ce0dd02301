"""Large files in memory that the processes of a machine share, and that nobody can change.

A file that is mapped from the disk would end the process if somebody cut it off, and change answers if
somebody wrote into it. So the content is copied into memory without a path that is sealed against any change
(memfd_create(2)). A process that reads the same file looks for that memory among what the user's other
processes have open.
"""

import os
import sys
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, Final

from caveat.models.bundles.files import locked, opened, read

if sys.platform == "linux":
    from fcntl import (
        F_ADD_SEALS,
        F_GET_SEALS,
        F_SEAL_GROW,
        F_SEAL_SEAL,
        F_SEAL_SHRINK,
        F_SEAL_WRITE,
        fcntl,
    )
    from mmap import MAP_PRIVATE, PROT_READ

    _SEALS: Final = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE

LARGE: Final = 2**25
"""Bytes from which on weights are shared (32 MiB)."""


class SharedFile(mmap):
    """The content of a file, in memory that several processes may share."""

    path: Path
    status: os.stat_result

    @property
    def changed(self) -> bool:
        """Whether the path has another file by now, or the file was written to."""
        try:
            return _identity(os.stat(self.path)) != _identity(self.status)
        except OSError:
            return True


Content = bytes | SharedFile


def share(path: Path, most: int, digest: str) -> Content:
    """Read a plain file into shared memory, where the system has any; see `files.read`.

    Parameters
    ----------
    digest
        The sha256 by which the content is found. The caller compares it with what it gets.
    """
    if sys.platform != "linux":
        return read(path, most)
    with opened(path, most) as (file, status):
        memory = None
        # Without the lock, two processes may copy the file each. Some systems allow no such memory.
        with locked(file.fileno()), suppress(OSError):
            memory = _found(f"caveat-{digest}", status.st_size)
            if memory is None:
                memory = _copied(f"caveat-{digest}", file)
        if memory is None:
            return read(path, most)
        try:
            size = os.fstat(memory).st_size
            if not size:  # an empty file can't be mapped
                return b""
            content = SharedFile(memory, size, flags=MAP_PRIVATE, prot=PROT_READ)
        finally:
            os.close(memory)
    content.path, content.status = path, status
    return content


def _copied(name: str, file: BinaryIO) -> int:
    memory = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(memory, "wb", closefd=False) as into:
            copyfileobj(file, into, 2**20)
        fcntl(memory, F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(memory)
        raise
    return memory


def _found(name: str, size: int) -> int | None:
    """Open the memory of that name, of whichever process has it."""
    for process in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):  # the process is another user's, or has ended
            for number in os.listdir(process):
                with suppress(OSError):
                    if os.readlink(process / number) != f"/memfd:{name} (deleted)":
                        continue
                    memory = os.open(process / number, os.O_RDONLY | os.O_CLOEXEC)
                    if os.fstat(memory).st_size == size and fcntl(memory, F_GET_SEALS) & _SEALS == _SEALS:
                        return memory
                    os.close(memory)
    return None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
