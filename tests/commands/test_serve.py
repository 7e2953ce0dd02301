"""Starts of a careless operator: `caveat serve` serves on, or ends with one line before it loads anything."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.service.serving import ROOT, TIMEOUT, caveat, until

SERVE = f"exec {sys.executable} -m caveat serve --port 0"
SERVES = re.compile(r"at (http://\S+),")


@contextmanager
def shell(script: str, folder: Path = ROOT, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a script, whose stderr is a pipe, until the block ends."""
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT)


def ended(script: str) -> tuple[int, str]:
    """Run a script to its end; return the exit code and what it wrote."""
    with shell(script) as process:
        out, errors = process.communicate(timeout=TIMEOUT)
        return process.returncode, out + errors


def listens(process: "subprocess.Popen[str]") -> str:
    """Find where a process serves that can't tell."""
    found: list[str] = []

    def look() -> bool:
        inodes = set()
        for each in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                inodes.add(os.readlink(each))
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, here, _, state, _, _, _, _, _, inode, *_ = line.split()
            if state == "0A" and f"socket:[{inode}]" in inodes:
                found.append(f"http://127.0.0.1:{int(here.rpartition(':')[2], 16)}")
        return bool(found)

    until(look)
    return found[-1]


def is_ready(url: str) -> bool:
    return httpx.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 200


def assert_answers(url: str, process: "subprocess.Popen[str]") -> None:
    until(lambda: is_ready(url))
    for _ in range(3):
        answer = httpx.post(f"{url}/predict", json={"inputs": [[[0] * 8] * 8]}, timeout=TIMEOUT)
        assert answer.status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("where", "why"),
    [
        (">/dev/full", "No space left on device"),
        ("> >(:)", "Broken pipe"),
        (">$TMPDIR/out", "File too large"),
    ],
)
def test_it_serves_on_where_its_line_can_not_be_written(
    tmp_path: Path, where: str, why: str, workers: str
) -> None:
    wait = "sleep 0.3; " * ("(:)" in where)
    limit = "ulimit -f 0; " * ("TMPDIR" in where)
    with shell(f"{limit}exec {where}; {wait}{SERVE} --workers {workers}", TMPDIR=str(tmp_path)) as process:
        assert process.stderr is not None
        line = json.loads(process.stderr.readline())
        assert (line["level"], line["event"]) == ("warning", "output")
        assert line["message"].endswith(f"the output can't be written: {why}")
        found = SERVES.search(line["message"])
        assert found
        assert_answers(found[1], process)


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_no_socket_takes_the_place_of_a_closed_stream(closed: str) -> None:
    """What is printed or logged would go to a client else."""
    with shell(f"{SERVE} {closed}") as process:
        url = listens(process)
        for stream in range(3):
            assert "socket" not in os.readlink(f"/proc/{process.pid}/fd/{stream}")
        httpx.get(f"{url}/nothing", timeout=TIMEOUT)
        assert_answers(url, process)


@pytest.mark.parametrize("arguments", ["--version", "--help", "serve --help"])
def test_a_command_whose_output_is_closed_ends_well(arguments: str) -> None:
    assert ended(f"exec {sys.executable} -m caveat {arguments} >&-") == (0, "")


def test_a_refusal_that_nobody_can_be_told_leaves_its_code() -> None:
    assert ended(f"{SERVE} /nowhere 2>/dev/full") == (1, "")


@pytest.mark.parametrize(("files", "workers"), [(10, 1), (20, 1), (163, 1), (20, 2), (256, 64)])
def test_too_few_open_files_end_it_with_one_line_that_says_how_many(files: int, workers: int) -> None:
    code, told = ended(f"ulimit -n {files}; {SERVE} --workers {workers}")
    assert (code, told.count("\n")) == (1, 1)
    needed = 160 + 4 * workers
    assert f"the limit on open files is {files}, and serving with --workers {workers} takes {needed}" in told
    assert f"ulimit -n {needed}; LimitNOFILE={needed}" in told


def test_as_many_open_files_as_it_asks_for_are_enough() -> None:
    with shell(f"ulimit -n 168; {SERVE} --workers 2") as process:
        assert_answers(told_url(process), process)


NOWHERE: Mapping[str, str] = {"TMPDIR": "/nowhere", "HOME": "/nowhere"}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "script", ["unset HOME TMPDIR; ", 'rmdir "$PWD"; ', "ulimit -f 0; ", "exec 2>/dev/full; ", ""]
)
def test_it_needs_no_home_no_temporary_folder_and_no_room(tmp_path: Path, script: str, workers: str) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with shell(f"{script}{SERVE} --workers {workers}", folder, **NOWHERE) as process:
        assert_answers(told_url(process), process)


def test_a_port_in_use_ends_it_before_anything_is_loaded() -> None:
    with shell(SERVE) as process:
        port = told_url(process).rpartition(":")[2]
        for workers in ("1", "2"):
            second = caveat("serve", "/nowhere", "--port", port, "--workers", workers)
            assert (second.returncode, second.stdout) == (1, "")
            assert second.stderr == (
                f"caveat serve: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
            )


def told_url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], TIMEOUT)[0]
    line = process.stdout.readline()
    found = SERVES.search(line)
    assert found, line
    return found[1]
