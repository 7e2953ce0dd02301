"""The end of a parent ends its child, however early."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.serving import ROOT, TIMEOUT, until

# The parent forks; the child tells its process id. It waits where it is told, before or after.
PROGRAM = """
import os, signal, sys, time
from caveat.service import parent

ours = os.getpid()
if not os.fork():
    print(os.getpid(), flush=True)
    if sys.argv[1] == "before":
        while os.getppid() == ours:
            time.sleep(0.01)
    parent.on_end(ours, signal.SIGKILL)
    time.sleep(1000)
os.wait()
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_child_ends_with_its_parent(moment: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, moment], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = Path("/proc", process.stdout.readline().strip())
        until(lambda: "python" in (child / "cmdline").read_text())
        process.send_signal(signal.SIGKILL)
        process.wait(TIMEOUT)
    until(lambda: not child.exists())
