"""Runs the real service in a separate process."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]

TIMEOUT = 120
"""Seconds after which what has not happened never will, on a machine however busy."""


def caveat(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "caveat", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def children(process: int) -> list[int]:
    """List the child processes of a process."""
    found: list[int] = []
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # the thread has ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return found


def until(holds: Callable[[], bool], seconds: float = TIMEOUT) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def serving(
    *arguments: str | Path, before: Sequence[str] = (), module: str = "caveat", **environment: str
) -> Iterator["Service"]:
    """Serve on a free port until the block ends; ``before`` is a command that runs the service's command."""
    process = Process(
        [*before, sys.executable, "-m", module, "serve", *map(str, arguments), "--port", "0"], environment
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"at (https?://\S+),", line)
        assert found, line + (process.communicate()[1] or "")
        with httpx.Client(base_url=found[1], timeout=TIMEOUT) as client:
            yield Service(process, client, line)
    finally:
        process.end()


ADMIN_KEY = "a-key-of-an-operator"

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


@contextmanager
def operated(*arguments: str | Path) -> Iterator["Service"]:
    """Serve for a client with an admin key."""
    with serving(*arguments, CAVEAT_ADMIN_KEYS=ADMIN_KEY) as service:
        service.client.headers.update(ADMIN)
        yield service


class Process(subprocess.Popen[str]):
    """A process whose log goes to a file, so that the process never waits for a reader."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed at the end of `serving`
        self._logged = ""
        super().__init__(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def communicate(self, *arguments: Any, **options: Any) -> tuple[str, str]:
        """Wait for the end of the process; return what it wrote."""
        return super().communicate(*arguments, **options)[0], self.logged()

    def logged(self) -> str:
        """Return what the process has written to stderr so far."""
        if not self._log.closed:
            self._logged = os.pread(self._log.fileno(), 2**26, 0).decode()
        return self._logged

    def end(self) -> None:
        """End the process."""
        self.terminate()
        self.communicate(timeout=TIMEOUT)
        self._log.close()


class Service:
    """A running service, and methods to send requests to it."""

    def __init__(self, process: Process, client: httpx.Client, line: str) -> None:
        self.process = process
        self.client = client
        self.line = line

    @property
    def url(self) -> str:
        return str(self.client.base_url).removesuffix("/")

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Return the lines of the log so far, of all events or of one kind."""
        whole = self.process.logged().rpartition("\n")[0]  # the last line may be half written
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if line["event"].startswith(name)]

    def complaints(self) -> list[dict[str, Any]]:
        """Return the lines of the log above level info."""
        return [line for line in self.events() if line["level"] != "info"]

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def ask(self, path: str, **body: object) -> httpx.Response:
        """Post a JSON body."""
        return self.client.post(path, json=body)

    def send(self, path: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
        """Post a body of any bytes."""
        return self.client.post(path, content=body, headers={"Content-Type": content_type})

    def admitted(self) -> int:
        """Number of requests for a prediction that are in the service."""
        return int(self.metric("admitted_requests"))

    def metric(self, name: str) -> float:
        """Give the value of a series without labels, asked for on a connection that does not stay."""
        text = httpx.get(f"{self.url}/metrics", timeout=TIMEOUT).text
        found = re.search(rf"^caveat_{name} (\S+)$", text, re.MULTILINE)
        assert found, name
        return float(found[1])

    def resident(self) -> int:
        """Bytes of memory that the process holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
