"""Which silence is a hang: of real processes that sleep, work, wait and are stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from caveat.service.process.pulse import Pulse
from tests.service.serving import until

SLEEPS = "print(flush=True); import time; time.sleep(1000)"
WORKS = "print(flush=True); import re; re.match('(a+)+$', 'a' * 60 + 'b')"  # and holds the interpreter


@contextmanager
def running(program: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def state(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def looks(pulse: Pulse, times: list[float], beats: bool = True) -> list[str | None]:
    return [pulse.hangs(time, beats) for time in times]


def test_one_that_sleeps_and_takes_no_time_hangs_after_a_second() -> None:
    with running(SLEEPS) as pid:
        until(lambda: state(pid)[0] == "S")
        pulse = Pulse(pid, 100.0)
        assert looks(pulse, [100.4, 100.6, 101.0, 101.5]) == [None] * 3 + [None]
        assert looks(pulse, [101.7]) == ["waits for ever"]
        pulse.beat(101.8)
        assert looks(pulse, [102.2]) == [None]


def test_one_that_is_stopped_hangs_soon_also_before_it_beats() -> None:
    with running(WORKS) as pid:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state(pid)[0] == "T")
        for beats in (True, False):
            pulse = Pulse(pid, 100.0)
            assert looks(pulse, [100.6, 100.7, 100.8], beats) == [None, None, "is stopped"]
        os.kill(pid, signal.SIGCONT)
        until(lambda: state(pid)[0] != "T")
        assert looks(pulse, [101.2]) == [None]


def test_one_that_works_has_ten_seconds() -> None:
    with running(WORKS) as pid:
        pulse = Pulse(pid, 100.0)
        assert looks(pulse, [100 + 0.25 * quarter for quarter in range(40)]) == [None] * 40
        assert looks(pulse, [110.0]) == ["does not come to its requests"]


@pytest.mark.parametrize("program", [SLEEPS, WORKS])
def test_one_that_is_not_to_beat_yet_has_all_the_time(program: str) -> None:
    with running(program) as pid:
        pulse = Pulse(pid, 100.0)
        assert looks(pulse, [101.0, 102.0, 103.0, 200.0, 900.0], beats=False) == [None] * 5


def test_without_a_table_of_processes_there_is_the_long_limit() -> None:
    pulse = Pulse(2**22 + 1, 100.0)  # more than there can be
    assert looks(pulse, [101.0, 102.0, 109.9]) == [None] * 3
    assert looks(pulse, [110.0]) == ["does not come to its requests"]
