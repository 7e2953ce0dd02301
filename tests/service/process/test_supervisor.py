"""Several processes behind one port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import PREDICT, pack
from tests.bundles import linear_regression, tabular
from tests.service.process.test_server import LONG
from tests.service.process.wire.raw import UNHURRIED, post, wire
from tests.service.serving import ADMIN, ROOT, TIMEOUT, Service, caveat, children, operated, serving, until

ROUTE = "/models/linear/predict/uncertainty"
POINT = [1, 2, 3]


@pytest.fixture
def several(bundles: Path) -> Iterator[Service]:
    with serving(bundles, "--workers", "3") as running:
        yield running


def anew(service: Service, samples: int = 100) -> httpx.Response:
    """Send a request on a new connection, which any worker may accept."""
    return httpx.post(service.url + ROUTE, json={"inputs": [POINT], "samples": samples}, timeout=TIMEOUT)


def test_every_worker_gives_the_same_bytes_and_counts_with_the_others(several: Service) -> None:
    assert len(children(several.process.pid)) == 3
    assert len({anew(several).content for _ in range(40)}) == 1
    expected = f'model="linear",route="{ROUTE.replace("linear", "{name}")}",version="1"}} 40.0'
    until(
        lambda: expected in httpx.get(several.url + "/metrics", timeout=TIMEOUT).text
    )  # each tells a moment later
    for _ in range(5):
        assert expected in httpx.get(several.url + "/metrics", timeout=TIMEOUT).text


def test_a_worker_that_is_killed_is_replaced(several: Service) -> None:
    expected = anew(several).content
    before = children(several.process.pid)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: is_replaced(several, before[0]))
    assert {anew(several).content for _ in range(20)} == {expected}
    several.process.send_signal(signal.SIGTERM)
    _, errors = several.process.communicate(timeout=TIMEOUT)
    assert several.process.returncode == 0
    assert f"worker {before[0]} ended with code -9; another one takes its place" in errors


@pytest.fixture
def rolling(tmp_path: Path) -> Iterator[tuple[Service, Path]]:
    """Serve with three workers, which update from the store only on request."""
    folder = tmp_path / "rolling"
    store.add(folder, linear_regression())
    with operated(folder, "--workers", "3", "--poll", "0") as running:
        yield running, folder


def versions_that_answer(service: Service, path: str = "/predict") -> set[int]:
    answers = [httpx.post(service.url + path, json={"inputs": [POINT]}, timeout=TIMEOUT) for _ in range(30)]
    return {answer.json().get("version", answer.status_code) for answer in answers}


def test_an_admin_request_is_answered_once_every_worker_has_carried_it_out(
    rolling: tuple[Service, Path],
) -> None:
    service, folder = rolling
    store.add(folder, linear_regression())
    store.add(folder, tabular())
    assert versions_that_answer(service) == {1}
    outcome = service.client.post("/admin/reload").json()
    assert [each["version"] for each in outcome["loaded"]] == [2, 1]
    assert versions_that_answer(service) == {2}
    alias = "/admin/models/linear/aliases/champion"
    for version in (1, 2, 1):
        assert service.client.put(alias, json={"version": version}).status_code == 200
        assert versions_that_answer(service, "/models/linear/versions/champion/predict") == {version}
    assert service.client.delete(alias).status_code == 200
    assert versions_that_answer(service, "/models/linear/versions/champion/predict") == {404}
    told = [event["message"] for event in service.events("store")]
    assert told == ["linear 2 is loaded", "tabular 1 is loaded"]


def test_a_worker_that_hangs_is_replaced_and_blocks_no_update(rolling: tuple[Service, Path]) -> None:
    service, folder = rolling
    before = children(service.process.pid)
    store.add(folder, linear_regression())
    store.add(folder, tabular())
    with ThreadPoolExecutor(1) as operator:
        os.kill(before[0], signal.SIGSTOP)
        # The system may deal the connection out to the one that is stopped: then it ends with that one.
        asked = operator.submit(httpx.post, service.url + "/admin/reload", headers=ADMIN, timeout=TIMEOUT)
        with suppress(httpx.HTTPError):
            assert asked.result().status_code == 200
    until(lambda: is_replaced(service, before[0]))
    (hung,) = service.events("worker_hung")
    assert (hung["worker"], "is stopped" in hung["message"]) == (before[0], True)
    until(lambda: service.client.post("/admin/reload").status_code == 200)
    # The new worker loaded the present store, and has the same default model as the others.
    assert versions_that_answer(service) == {2}


def test_a_worker_that_waits_for_ever_is_replaced_and_one_that_works_for_seconds_is_not() -> None:
    with serving("--workers", "3", module="tests.service.process.holding") as service:
        before = children(service.process.pid)
        assert httpx.get(f"{service.url}/health/live", timeout=TIMEOUT).json() == {"status": "live"}
        assert children(service.process.pid) == before
        with suppress(httpx.HTTPError):
            httpx.get(f"{service.url}/models/digits/ready", timeout=TIMEOUT)
        until(lambda: len({*children(service.process.pid)} & {*before}) == 2)
        until(lambda: len(children(service.process.pid)) == 3)
        (hung,) = service.events("worker_hung")
    assert "waits for ever" in hung["message"]


@pytest.mark.parametrize("supervisor_first", [True, False])
def test_workers_that_are_stopped_with_their_supervisor_go_on_with_it(
    several: Service, supervisor_first: bool
) -> None:
    before = children(several.process.pid)
    everyone = [several.process.pid, *before] if supervisor_first else [*before, several.process.pid]
    for sign in (signal.SIGSTOP, signal.SIGCONT):
        for each in everyone:
            os.kill(each, sign)
        time.sleep(2)
    assert children(several.process.pid) == before
    assert anew(several).status_code == 200
    assert several.complaints() == []


def test_without_their_supervisor_workers_answer_and_tell_what_they_know(several: Service) -> None:
    assert anew(several).status_code == 200
    several.process.send_signal(signal.SIGSTOP)
    assert "caveat_requests_total" in httpx.get(several.url + "/metrics", timeout=TIMEOUT).text
    for _ in range(3000):  # beats that nobody reads do not pile up
        several.get("/health/live")
    assert {anew(several).status_code for _ in range(20)} == {200}
    several.process.send_signal(signal.SIGCONT)
    expected = f'model="linear",route="{ROUTE.replace("linear", "{name}")}",version="1"}} 21.0'
    until(lambda: expected in httpx.get(several.url + "/metrics", timeout=TIMEOUT).text)


def test_what_a_killed_worker_has_counted_stays(several: Service) -> None:
    for _ in range(12):
        anew(several)
    expected = f'model="linear",route="{ROUTE.replace("linear", "{name}")}",version="1"}} 12.0'
    until(lambda: expected in httpx.get(several.url + "/metrics", timeout=TIMEOUT).text)
    time.sleep(0.5)  # in which each has told its last
    for _ in range(2):
        victim = children(several.process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: is_replaced(several, victim))  # type: ignore[misc]
        until(lambda: expected in httpx.get(several.url + "/metrics", timeout=TIMEOUT).text)


def test_workers_need_no_disk(bundles: Path, tmp_path: Path) -> None:
    with serving(bundles, "--workers", "2", TMPDIR=str(tmp_path)) as service:
        assert {anew(service).status_code for _ in range(10)} == {200}
        assert "caveat_requests_total" in service.get("/metrics").text
        assert list(tmp_path.iterdir()) == []
        for each in (service.process.pid, *children(service.process.pid)):
            mapped = Path(f"/proc/{each}/maps").read_text()
            assert not [line for line in mapped.splitlines() if "rw-s" in line and line.endswith(".db")]
        service.process.kill()
        service.process.communicate(timeout=TIMEOUT)
        assert list(tmp_path.iterdir()) == []


def test_a_stop_ends_all_workers_and_their_parent(several: Service) -> None:
    workers = children(several.process.pid)
    several.process.send_signal(signal.SIGTERM)
    out, _ = several.process.communicate(timeout=TIMEOUT)
    assert (several.process.returncode, out, several.complaints()) == (0, "", [])
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_workers_whose_parent_is_killed_end_too(several: Service) -> None:
    workers = children(several.process.pid)
    os.kill(workers[0], signal.SIGSTOP)
    several.process.kill()
    several.process.communicate(timeout=TIMEOUT)
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_workers_whose_parent_is_killed_answer_first(bundles: Path) -> None:
    with serving(bundles, "--workers", "2", *UNHURRIED) as service, wire(service) as working:
        workers = children(service.process.pid)
        working.send(post(LONG.replace(b"20000", b"200000"), path=ROUTE))
        until(lambda: service.admitted() == 1)
        service.process.kill()
        assert working.answer().status == 200
        service.process.communicate(timeout=TIMEOUT)
        until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


@pytest.mark.parametrize("milliseconds", [0, 5, 20, 100, 300])
def test_no_worker_outlives_a_parent_that_is_killed_during_the_start(
    tmp_path: Path, milliseconds: int
) -> None:
    for _ in range(60):
        store.add(tmp_path, linear_regression())
    command = [sys.executable, "-m", "caveat", "serve", str(tmp_path), "--port", "0", "--workers", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as process:
        until(lambda: bool(children(process.pid)))
        time.sleep(milliseconds / 1000)
        process.kill()
        process.communicate(timeout=TIMEOUT)
        until(lambda: not in_session(process.pid))


def in_session(leader: int) -> list[str]:
    """List the processes of a session that still run."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            letter, _, _, session, *_ = each.read_text().rpartition(")")[2].split()
            found += [each.parent.name] if int(session) == leader and letter != "Z" else []
    return found


def test_a_store_that_can_not_be_served_ends_with_one_line(tmp_path: Path, bundles: Path) -> None:
    sound = linear_regression()
    store.add(tmp_path, pack(sound.manifest, {**sound.files, PREDICT: b"junk"}))
    ended = caveat("serve", tmp_path, "--workers", "2", "--port", "0")
    assert (ended.returncode, ended.stderr.count("\n"), ended.stdout) == (1, 1, "")
    assert "linear/1/predict.onnx: the graph is cut off" in ended.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = caveat("serve", bundles, "--workers", "2", "--port", port)
        assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ended.stderr


def is_replaced(service: Service, worker: int) -> bool:
    """Tell whether a new worker has replaced this one of three."""
    after = children(service.process.pid)
    return len(after) >= 3 and worker not in after
