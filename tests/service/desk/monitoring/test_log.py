import json
import os
import pty
import re
import resource
import select
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from caveat.service.desk.monitoring import log
from tests.service.serving import ROOT, TIMEOUT, Service, serving, until

ROUTE = "/models/linear/predict/uncertainty"
POINT = [1, 2, 3]


def test_a_request_has_a_line(service: Service) -> None:
    headers = {"X-Request-Id": "told"}
    before = datetime.now(UTC)
    service.client.post(ROUTE, json={"inputs": [POINT] * 2, "samples": 10, "seed": 7}, headers=headers)
    line = told(service, "told")
    assert abs((datetime.fromisoformat(line.pop("time")) - before).total_seconds()) < 60
    total, queue, compute = (line.pop(f"{name}_ms") for name in ("total", "queue", "compute"))
    assert 0 < queue + compute < total
    assert line == {
        "level": "info",
        "event": "request",
        "id": "told",
        "method": "POST",
        "route": "/models/{name}/predict/uncertainty",
        "code": 200,
        "model": "linear",
        "version": 1,
        "rows": 2,
        "passes": 20,
        "seed": 7,
    }


def test_the_line_of_a_refusal_gives_the_reason(service: Service) -> None:
    headers = {"X-Request-Id": "refused"}
    refused = service.client.post(ROUTE, json={"inputs": [[1, 2]]}, headers=headers)
    line = told(service, "refused")
    assert (line["level"], line["code"], line["model"]) == ("warning", 422, "linear")
    assert line["detail"] == refused.json()["detail"]
    assert "queue_ms" not in line


def test_polled_routes_are_not_logged(service: Service) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        service.client.get(path, headers={"X-Request-Id": "asked"})
        service.client.delete(path, headers={"X-Request-Id": "wrong"})
    until(lambda: [line["code"] for line in service.events("request") if line["id"] == "wrong"] == [405] * 3)
    assert "asked" not in {line["id"] for line in service.events("request")}


def test_log_records_of_libraries_are_lines() -> None:
    program = (
        "import logging, warnings; from caveat.service.desk.monitoring import log; log.begin();"
        "logging.getLogger('uvicorn.error').warning('a\\nb'); warnings.warn('old'); log.end()"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    first, second = map(json.loads, said.stderr.splitlines())
    assert (first["logger"], first["level"], first["message"]) == ("uvicorn.error", "warning", "a\nb")
    assert (second["logger"], "UserWarning: old" in second["message"]) == ("py.warnings", True)


def test_lines_of_several_workers_stay_whole(bundles: Path) -> None:
    with serving(bundles, "--workers", "2") as service, ThreadPoolExecutor(8) as clients:

        def ask(number: int) -> None:
            with httpx.Client(base_url=service.url, timeout=TIMEOUT) as client:
                for part in range(50):
                    name = {"X-Request-Id": f"{number}-{part}-{'x' * 100}"}
                    client.post(ROUTE, json={"inputs": [POINT], "samples": 2}, headers=name)

        list(clients.map(ask, range(8)))
        until(lambda: len({line["id"] for line in service.events("request")}) == 400)


def test_a_stalled_reader_does_not_block_the_service(bundles: Path) -> None:
    with (
        started(bundles, subprocess.PIPE) as (process, url),
        httpx.Client(base_url=url, timeout=TIMEOUT) as client,
    ):
        for _ in range(600):  # twice as many lines as a pipe holds
            response = client.post(ROUTE, json={"inputs": [POINT], "samples": 2})
            assert response.status_code == 200
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_a_person_at_a_terminal_reads_text(bundles: Path) -> None:
    ours, theirs = pty.openpty()
    with started(bundles, theirs) as (_, url):
        os.close(theirs)
        httpx.post(
            url + ROUTE,
            json={"inputs": [POINT] * 2, "samples": 10},
            headers={"X-Request-Id": "a1"},
            timeout=TIMEOUT,
        )
        httpx.get(url + "/%1b%0anothing", timeout=TIMEOUT)
        text = b""
        while text.count(b"\n") < 2:
            assert select.select([ours], [], [], TIMEOUT)[0]
            text += os.read(ours, 10_000)
    os.close(ours)
    first, second = text.decode().splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} info    200 POST /models/{name}/predict/uncertainty linear 1 2 rows 20 passes"
        r" seed 0 in [\d.]+ ms \(queue [\d.]+, compute [\d.]+\); id a1",
        first,
    )
    assert "404 GET (none)" in second
    assert second.isprintable()


def test_lines_beyond_the_backlog_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_MOST", 1000 * 110)
    reading, writing = os.pipe()
    writer = log.Writer(writing)
    for start in range(0, 3000, 100):
        writer.write([f'{{"event": "{start + number:04}{"x" * 90}"}}\n' for number in range(100)])
    kept: list[str] = []
    dropped = 0
    with os.fdopen(reading) as pipe:
        while len(kept) + dropped < 3000:
            line = json.loads(pipe.readline())
            if line["event"] == "log_dropped":
                dropped += line["lines"]
            else:
                kept.append(line["event"])
        writer.write(["the next\n"])
        assert pipe.readline() == "the next\n"
    assert kept == sorted(set(kept))
    assert len(kept) >= 1000
    assert dropped > 0
    os.close(writing)


def test_a_nonblocking_descriptor_gets_all_lines() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = log.Writer(writing)
    for start in range(0, 2000, 100):
        writer.write([f"{number:0200}\n" for number in range(start, start + 100)])
    with os.fdopen(reading) as pipe:
        assert [int(pipe.readline()) for _ in range(2000)] == list(range(2000))
    writer.close()
    os.close(writing)


def test_a_file_name_that_is_not_utf8_can_be_logged() -> None:
    line = json.loads(log.line("model_failed", "b\udcff", "warning", {}))
    assert line["message"] == "b\udcff"


def test_a_closed_pipe_does_not_block_the_service() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = log.Writer(writing)
    for _ in range(3):
        writer.write(["x" * 100 + "\n"] * 1000)
    writer.close()
    os.close(writing)
    assert writer._thread is None


def test_lines_without_room_on_the_disk_are_counted_and_the_next_one_stands_alone(
    tmp_path: Path,
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "log").open("wb", buffering=0) as file:
        writer = log.Writer(file.fileno())
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, before[1]))
        try:
            for number in range(5):
                writer.write([f"{number}{'x' * 98}\n"])
                writer.close()  # waits until it is written, or not
            assert writer.trouble == "the log can't be written: File too large"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        writer.write(["the next\n"])
        writer.close()
        assert writer.trouble is None
    whole = (tmp_path / "log").read_text().splitlines()
    assert [line[:1] for line in whole[:3]] == ["0", "1", "2"]
    assert (len(whole[2]), whole[3]) == (50, "the next")
    (told,) = map(json.loads, whole[4:])
    assert (told["event"], told["lines"]) == ("log_dropped", 3)
    assert told["message"] == "3 lines were dropped: the log can't be written: File too large"


def test_readiness_tells_that_the_log_can_not_be_written(bundles: Path) -> None:
    with open("/dev/full", "w") as full, started(bundles, full.fileno()) as (_, url):
        ready = f"{url}/health/ready"
        assert httpx.get(ready, timeout=TIMEOUT).json() == {"status": "ready"}
        httpx.get(f"{url}/nothing", timeout=TIMEOUT)
        told = {"status": "ready", "log": "the log can't be written: No space left on device"}
        until(lambda: httpx.get(ready, timeout=TIMEOUT).json() == told)
        assert httpx.post(url + ROUTE, json={"inputs": [POINT]}, timeout=TIMEOUT).status_code == 200


def test_an_event_has_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(log, "lines", written.extend)
    log.event("version_loaded", "digits 2 is served", model="digits", version=2)
    try:
        raise ValueError("why")
    except ValueError as error:
        log.failure("load_failed", "digits 3 is not served", error, path=Path("store"))
    first, second = map(json.loads, written)
    assert first.pop("time")
    assert first == {
        "level": "info",
        "event": "version_loaded",
        "message": "digits 2 is served",
        "model": "digits",
        "version": 2,
    }
    assert (second["level"], second["path"]) == ("error", "store")
    assert second["traceback"].endswith("ValueError: why\n")


@contextmanager
def started(bundles: Path, stderr: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve with the log on a descriptor that the test reads, or leaves unread."""
    process = subprocess.Popen(
        [sys.executable, "-m", "caveat", "serve", str(bundles), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    assert process.stdout is not None
    with process:
        try:
            yield process, process.stdout.readline().rpartition(" at ")[2].partition(",")[0]
        finally:
            process.kill()


def told(service: Service, name: str) -> dict[str, Any]:
    """Wait for the line of the request with this id."""
    until(lambda: any(line["id"] == name for line in service.events("request")))
    (line,) = [line for line in service.events("request") if line["id"] == name]
    return line
