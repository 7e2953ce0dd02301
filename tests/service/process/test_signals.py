"""What each signal does, with one process and with several, also while the models load."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from caveat.models.bundles import store
from tests.bundles import linear_regression, tabular
from tests.service.process.test_server import LONG
from tests.service.process.wire.raw import ROUTE, UNHURRIED, post, wire
from tests.service.serving import ROOT, TIMEOUT, Service, children, serving, until

HARMLESS = (
    "SIGUSR1",
    "SIGUSR2",
    "SIGALRM",
    "SIGVTALRM",
    "SIGPROF",
    "SIGIO",
    "SIGPIPE",
    "SIGXFSZ",
    "SIGWINCH",
)


@pytest.fixture(params=["1", "2"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Service, Path]]:
    """Serve a store that is read only when a signal says so."""
    store.add(tmp_path, linear_regression())
    with serving(tmp_path, "--workers", request.param, "--poll", "0", *UNHURRIED) as service:
        yield service, tmp_path


def everyone(service: Service) -> list[int]:
    return [service.process.pid, *children(service.process.pid)]


def test_signals_that_mean_nothing_here_are_ignored(kept: tuple[Service, Path]) -> None:
    service, _ = kept
    before = everyone(service)
    with wire(service) as working:
        working.send(post(LONG.replace(b"20000", b"100000"), path=ROUTE))
        until(lambda: service.admitted() == 1)
        for each in before:
            for name in HARMLESS:
                os.kill(each, getattr(signal, name))
        assert working.answer().status == 200
    assert everyone(service) == before
    assert service.complaints() == []


def test_a_hangup_updates_from_the_store_in_every_process(kept: tuple[Service, Path]) -> None:
    service, folder = kept
    before = everyone(service)
    store.add(folder, linear_regression())
    store.add(folder, tabular())
    for each in before:  # as pkill does; the workers leave it to their supervisor
        os.kill(each, signal.SIGHUP)
    until(lambda: len(service.events("store")) == 2)
    assert [each["message"] for each in service.events("reload")] == ["SIGHUP: updating from the store"]
    assert [each["message"] for each in service.events("store")] == [
        "linear 2 is loaded",
        "tabular 1 is loaded",
    ]
    asked = [
        httpx.post(f"{service.url}/models/linear/predict", json={"inputs": [[1, 2, 3]]}, timeout=TIMEOUT)
        for _ in range(10)
    ]
    assert {answer.json()["version"] for answer in asked} == {2}
    assert everyone(service) == before
    folder.rename(f"{folder}-away")
    service.process.send_signal(signal.SIGHUP)
    until(lambda: bool([each for each in service.events("store") if each["level"] == "error"]))
    assert service.get("/models/linear").status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hangup_stays_ignored_under_nohup(tmp_path: Path, workers: str) -> None:
    store.add(tmp_path, linear_regression())
    flags = (tmp_path, "--workers", workers, "--poll", "0")
    with serving(*flags, before=["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]) as service:
        store.add(tmp_path, linear_regression())
        for each in everyone(service):
            os.kill(each, signal.SIGHUP)
        time.sleep(1)
        assert service.get("/models/linear").json()["version"] == 1
        assert service.events("reload") == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_each_stop_drains(kept: tuple[Service, Path], stop: signal.Signals) -> None:
    service, _ = kept
    with wire(service) as working:
        working.send(post(LONG.replace(b"20000", b"100000"), path=ROUTE))
        until(lambda: service.admitted() == 1)
        service.process.send_signal(stop)
        assert working.answer().status == 200
    service.process.communicate(timeout=TIMEOUT)
    assert (service.process.returncode, service.complaints()) == (0, [])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_signals_during_a_start_end_nothing_and_a_hangup_is_kept_for_later(
    tmp_path: Path, workers: str
) -> None:
    for _ in range(60):
        store.add(tmp_path, linear_regression())
    command = [sys.executable, "-m", "caveat", "serve", str(tmp_path), "--port", "0", "--workers", workers]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: handles(process.pid, signal.SIGHUP))
        for name in ("SIGHUP", *HARMLESS):
            process.send_signal(getattr(signal, name))
        assert process.stdout is not None
        assert "Caveat serves linear" in process.stdout.readline()
        assert process.stderr is not None
        assert '"event":"reload"' in process.stderr.readline()
        process.terminate()
        process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_during_a_start_is_no_failure(tmp_path: Path, stop: signal.Signals) -> None:
    for _ in range(60):
        store.add(tmp_path, linear_regression())
    command = [sys.executable, "-m", "caveat", "serve", str(tmp_path), "--port", "0", "--workers", "2"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: len(children(process.pid)) == 2)
        workers = children(process.pid)
        process.send_signal(stop)
        assert process.communicate(timeout=TIMEOUT) == ("", "")
        assert process.returncode == 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def handles(pid: int, sign: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (sign - 1) & 1)
