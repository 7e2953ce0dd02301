"""What may stand in the place of a file of a bundle."""

import os
import socket
from pathlib import Path

SPARSE = 3 * 10**9
"""Bytes of a file that is all hole."""


def remove(path: Path) -> None:
    """Remove what an earlier change may have put there; opening a pipe would block for ever."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write a plain file, whatever stands in its place."""
    remove(path)
    path.write_bytes(content)


def _pipe(path: Path) -> None:
    remove(path)
    os.mkfifo(path)


def _folder(path: Path) -> None:
    remove(path)
    path.mkdir()


def _socket(path: Path) -> None:
    remove(path)
    with socket.socket(socket.AF_UNIX) as server:
        short = f"/proc/self/fd/{os.open(path.parent, os.O_PATH)}"
        server.bind(f"{short}/{path.name}")
        os.close(int(short.rpartition("/")[2]))


def _sparse(path: Path) -> None:
    remove(path)
    with path.open("wb") as file:
        file.truncate(SPARSE)


def _zero(path: Path) -> None:
    _link(path, "/dev/zero")


def _nowhere(path: Path) -> None:
    _link(path, "nowhere")


def _itself(path: Path) -> None:
    _link(path, path.name)


def _outside(path: Path) -> None:
    _link(path, "/etc/passwd")


def _link(path: Path, target: str) -> None:
    remove(path)
    path.symlink_to(target)


KINDS = (_pipe, _folder, _socket, _sparse, _zero, _nowhere, _itself, _outside)
"""What may stand in the place of a file."""
