"""A running service for stress tests, with its memory, its open files, and its faults."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]

_BEGINNING = '{"time":'
"""The beginning of a line of the log."""


class Watch:
    """Looks at something all the while, on a thread, for the length of a block."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _run(self) -> None:
        raise NotImplementedError


class Stalls(Watch):
    """Counts the seconds for which the machine itself stalled, beyond a second each time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(0.1):
            now = time.monotonic()
            self.seconds += max(0.0, now - last - 1)
            last = now


class Running:
    """A running service with its workers."""

    def __init__(self, process: subprocess.Popen[str], address: tuple[str, int]) -> None:
        self.process = process
        self.address = address
        self.errors = ""  # the service's stderr, once it has ended

    @property
    def alive(self) -> bool:
        """Whether the service is still running."""
        return self.process.poll() is None

    def workers(self) -> list[int]:
        """List the child processes of the service."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def resident(self) -> float:
        """Measure the resident memory of all processes, in bytes."""
        pages = 0
        for pid in (self.process.pid, *self.workers()):
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except (OSError, IndexError):  # the process has just ended
                continue
        return float(pages * os.sysconf("SC_PAGE_SIZE"))

    def files(self) -> int:
        """Count the open files of all processes."""
        return sum(_files(pid) for pid in (self.process.pid, *self.workers()))

    def faults(self, *expected: str, killed: int = 0) -> list[str]:
        """List the faults of the ended service: an exit code, or unexpected events in its log.

        Each killed worker may have left an incomplete line.
        """
        faults = []
        if self.process.returncode != 0:
            faults.append(f"it ended with code {self.process.returncode}")
        odd = [line for line in self.errors.splitlines() if not _expected(line, expected)]
        torn = [line for line in odd if _expected(line[max(0, line.rfind(_BEGINNING)) :], expected)]
        if len(torn) < len(odd) or len(torn) > killed:
            faults.append("it wrote: " + "\n".join(odd[:40]))
        return faults


def _expected(line: str, events: Sequence[str]) -> bool:
    try:
        told = json.loads(line)
    except ValueError:
        return False
    return told["event"] in ("drain", *events) or (told["event"] == "request" and told["code"] != 500)


def _files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


@contextmanager
def started(*flags: str, **environment: str) -> Iterator[Running]:
    """Serve the bundled model until the block ends."""
    command = [sys.executable, "-m", "caveat", "serve", "--port", "0", *flags]
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "errors").open("w") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        ) as process,
    ):
        assert process.stdout is not None
        found = re.search(r"at http://([^:]+):(\d+),", process.stdout.readline())
        assert found, Path(errors.name).read_text()
        running = Running(process, (found[1], int(found[2])))
        try:
            yield running
        finally:
            process.terminate()
            process.wait(60)
            running.errors = Path(errors.name).read_text(errors="replace")
