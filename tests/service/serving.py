"""Runs the real service as a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


def caveat(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "caveat.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@contextmanager
def serving(*arguments: str | Path, **environment: str) -> Iterator["Service"]:
    """Serve on a free port until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "caveat.py", "serve", *map(str, arguments), "--port", "0"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"at (https?://\S+),", line)
        assert found, line + (process.communicate()[1] or "")
        with httpx.Client(base_url=found[1], timeout=60) as client:
            yield Service(process, client, line)
    finally:
        process.terminate()
        process.communicate(timeout=30)


class Service:
    """A running service, and ways to ask it."""

    def __init__(self, process: subprocess.Popen[str], client: httpx.Client, line: str) -> None:
        self.process = process
        self.client = client
        self.line = line

    @property
    def url(self) -> str:
        return str(self.client.base_url)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def ask(self, path: str, **body: object) -> httpx.Response:
        """Post a JSON body."""
        return self.client.post(path, json=body)

    def send(self, path: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
        """Post any bytes."""
        return self.client.post(path, content=body, headers={"Content-Type": content_type})

    def resident(self) -> int:
        """Bytes of memory that the process holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
