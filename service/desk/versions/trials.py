"""Trials: every bundle but those that ship with Caveat runs in a process of its own before it is loaded."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock
from typing import Final

from caveat.models.bundles import files
from caveat.models.bundles.bundle import MANIFEST, BundleError, IncompleteError, read_manifest
from caveat.models.bundles.store import BUNDLED
from caveat.models.tasks import tasks
from caveat.service.desk.versions.trial_process import Order, Result, seconds_of
from caveat.service.settings import Settings

_COMMAND: Final = (
    "-P",
    "-W",
    "ignore::DeprecationWarning",
    "-m",
    "caveat.service.desk.versions.trial_process",
)
"""Arguments of Python: the working directory holds no modules of the service, and a warning of forks in a
process with the engine's threads is no news."""

_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""Keeps the process to one thread, and its addresses to what it uses."""

_START: Final = 20.0
"""Seconds that the process has to start, and to end a trial."""

_GRACE: Final = 2.0
"""Seconds that the process has to end."""


class Trials:
    """Tries bundles in a process that starts with the first of them.

    Parameters
    ----------
    settings
        Settings of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._busy = Lock()

    def try_out(self, folder: Path) -> str:
        """Try a bundle; return the identity of its manifest, which must be that of the bundle to load.

        Raises
        ------
        BundleError
            If the bundle must not be loaded.
        IncompleteError
            If files of it are missing.
        """
        if not os.path.lexists(folder / MANIFEST):  # as of a folder that is still being made
            raise IncompleteError(f"{folder}: no {MANIFEST}; is this the folder of a bundle?")
        if shipped := _shipped(folder):
            return shipped
        order = Order(str(folder.absolute()), self._settings.precision, self._settings.default_seed)
        with self._busy:
            result = self._asked(order) or self._asked(order)  # it may have been killed for its memory
        if result is None:
            raise BundleError(_led(folder, "the process in which bundles are tried has ended"))
        if result.identity is None:
            raise (IncompleteError if result.incomplete else BundleError)(_led(folder, result.reason))
        return result.identity

    def close(self) -> None:
        """End the process, and the trial in it; a later trial starts another one."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
            with self._busy:
                _reap(process)

    def _asked(self, order: Order) -> Result | None:
        """Ask for a trial; None if the process has ended, and not by `close`."""
        process = self._process = self._process or _started()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError, ValueError):  # it has ended, or is closed
            process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            timeout = seconds_of(Path(order.folder)) + _START
            if wait([process.stdout.fileno()], timeout) and (line := process.stdout.readline()):
                return Result(**json.loads(line))
        is_closed = self._process is not process
        self._process = None
        _reap(process)
        return Result(reason="the service stops, and its trial with it") if is_closed else None


def _started() -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAVEAT_")}
    return subprocess.Popen(  # noqa: S603 - this Python, and a module of this package
        [sys.executable, *_COMMAND, *_foreign_tasks()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment, **_ENVIRONMENT, "PYTHONPATH": paths},  # without keys
        bufsize=0,
        start_new_session=True,  # Ctrl-C is for the service
    )


def _foreign_tasks() -> list[str]:
    """List the modules of tasks that are not Caveat's, which the process has to know as well."""
    modules = {task.__module__ for task in tasks.every()}
    return sorted(name for name in modules if not name.startswith("caveat.") and name != "__main__")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and its fork, whatever state it is in."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reap(process: "subprocess.Popen[bytes]") -> None:
    _end(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _shipped(folder: Path) -> str | None:
    """Give the identity of a bundle that ships with Caveat; None for any other."""
    ours = BUNDLED / folder.parent.name / folder.name
    if not ours.is_dir():
        return None
    content = (ours / MANIFEST).read_bytes()
    with suppress(BundleError):
        if files.read(folder / MANIFEST, len(content)) == content:
            return read_manifest(ours).identity
    return None


def _led(folder: Path, reason: str) -> str:
    """Begin a reason with the bundle that it is about."""
    place = f"{folder.parent.name}/{folder.name}"
    return reason if place in reason else f"{place}: {reason}"
