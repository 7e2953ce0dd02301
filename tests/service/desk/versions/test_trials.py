"""Bundles are tried in a process of their own, and one that ends it or never ends harms nothing else."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import CARD, PREDICT, BundleError, IncompleteError, pack
from caveat.models.bundles.store import BUNDLED
from caveat.models.predictor import Predictor
from caveat.service.desk.versions.attempt import attempt
from caveat.service.desk.versions.catalogue import Failure
from caveat.service.desk.versions.trial_process import seconds_of
from caveat.service.desk.versions.trials import Trials
from caveat.service.settings import Settings
from tests.bundles import linear_regression
from tests.models.damage.damage import edit, seal, sound
from tests.models.damage.graphs import NODE, as_long_as_its_rows_say, endless, graph
from tests.service.serving import children, operated, serving, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture
def trials() -> Iterator[Trials]:
    made = Trials(Settings())
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sound(tmp_path)


def zygotes() -> list[int]:
    """List the processes of this one that try bundles."""
    return [
        child
        for child in children(os.getpid())
        if b"trial_process" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_a_sound_bundle_loads_after_its_trial(folder: Path, trials: Trials) -> None:
    assert trials.try_out(folder) == store.load(folder).manifest.identity
    assert isinstance(attempt(folder, Settings(), trials).result, Predictor)


def test_what_the_service_would_refuse_the_trial_refuses_in_the_same_words(
    folder: Path, trials: Trials
) -> None:
    seal(folder, predict_onnx=b"no graph")
    with pytest.raises(
        BundleError, match=r"tabular/1/predict.onnx: the graph is not a valid protocol buffer"
    ):
        trials.try_out(folder)
    (folder / PREDICT).unlink()
    with pytest.raises(IncompleteError, match="missing"):
        trials.try_out(folder)


@pytest.mark.parametrize("sign", [signal.SIGFPE, signal.SIGSEGV, signal.SIGKILL])
def test_a_bundle_that_ends_its_trial_is_refused_and_the_next_one_is_tried(
    folder: Path, trials: Trials, sign: signal.Signals
) -> None:
    sound_graph = (folder / PREDICT).read_bytes()
    seal(folder, predict_onnx=endless(10**8))
    trials.try_out(BUNDLED / "digits" / "1")  # which starts no process

    def end_the_fork() -> None:
        until(lambda: bool(zygotes()) and bool(children(zygotes()[0])))
        os.kill(children(zygotes()[0])[0], sign)

    ender = threading.Thread(target=end_the_fork)
    ender.start()
    with pytest.raises(BundleError, match=f"tabular/1: its trial was ended by {sign.name}"):
        trials.try_out(folder)
    ender.join()
    seal(folder, predict_onnx=sound_graph)
    assert trials.try_out(folder)


def test_the_process_may_end_and_another_one_starts(folder: Path, trials: Trials) -> None:
    assert trials.try_out(folder)
    os.kill(zygotes()[0], signal.SIGKILL)
    assert trials.try_out(folder)


def test_a_fork_ends_with_the_process(folder: Path, trials: Trials) -> None:
    seal(folder, predict_onnx=endless(10**8))
    forks: list[int] = []

    def kill() -> None:
        for _ in range(2):  # the second trial of the same bundle is the last
            until(lambda: bool(zygotes()) and bool(set(children(zygotes()[0])) - set(forks)))
            forks.extend(set(children(zygotes()[0])) - set(forks))
            os.kill(zygotes()[0], signal.SIGKILL)
            until(lambda: not Path(f"/proc/{forks[-1]}").exists())

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(BundleError, match="tabular/1: the process in which bundles are tried has ended"):
        trials.try_out(folder)
    killer.join()
    assert len(forks) == 2


def test_a_bundle_is_tried_beside_a_thousand_connections(folder: Path, trials: Trials) -> None:
    open_files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert trials.try_out(folder)
    finally:
        for each in open_files:
            os.close(each)


def test_folders_without_a_manifest_are_not_tried(tmp_path: Path, trials: Trials) -> None:
    with pytest.raises(IncompleteError, match=r"no manifest\.json"):
        trials.try_out(tmp_path)
    assert not zygotes()


def test_closing_ends_the_trial_at_once_and_leaves_no_process(folder: Path, trials: Trials) -> None:
    seal(folder, predict_onnx=endless(10**8))
    forks: list[int] = []

    def close() -> None:
        until(lambda: bool(zygotes()) and bool(children(zygotes()[0])))
        forks.extend(children(zygotes()[0]))
        trials.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(BundleError, match="the service stops"):
        trials.try_out(folder)
    closer.join()
    assert not zygotes()
    until(lambda: not Path(f"/proc/{forks[0]}").exists())


def tried_with(folder: Path, changes: str) -> dict[str, object]:
    """Try a bundle in a process that is changed so."""
    order = json.dumps({"folder": str(folder), "precision": "float32", "seed": 0}) + "\n"
    imports = "import os, resource, time; from caveat.service.desk.versions import trial_process as it"
    command = [sys.executable, "-c", "\n".join([imports, changes, "it.main()"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order)
        process.stdin.flush()
        found: dict[str, object] = json.loads(process.stdout.readline())
    return found


def test_a_trial_ends_by_the_clock(folder: Path) -> None:
    """Whatever keeps it: here the warm-up, as constants would that are folded for minutes."""
    kept = "it.SECONDS = 1.5\nit.predictors.warm_up = lambda *_: time.sleep(100)"
    assert tried_with(folder, kept)["reason"] == "its trial takes more than 2 seconds"


def test_a_trial_writes_no_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "written"
    writing = f"it.predictors.warm_up = lambda *_: it.Path({str(file)!r}).write_text('some words')"
    assert "File too large" in str(tried_with(folder, writing)["reason"])
    assert file.read_text() == ""


def test_the_limits_of_a_trial_are_those_that_are_stated(folder: Path) -> None:
    telling = """
def told(*_):
    raise ValueError(" ".join(str(resource.getrlimit(each)[1]) for each in (
        resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_AS
    )))
it.predictors.warm_up = told
"""
    seconds, files, cores, addresses = map(int, str(tried_with(folder, telling)["reason"]).split())
    assert (seconds, files, cores) == (35, 0, 0)
    assert 2**29 + 2**28 < addresses < 2**31


def test_files_that_the_bundle_does_not_list_win_no_time(folder: Path, tmp_path: Path) -> None:
    assert seconds_of(folder) < 31
    with (tmp_path / "large").open("wb") as large:
        large.truncate(2**40)
    (folder / "notes").symlink_to(tmp_path / "large")
    assert seconds_of(folder) < 31
    with (folder / "more").open("wb") as large:
        large.truncate(2**40)
    assert seconds_of(folder) == 90


def test_a_stopped_process_is_given_up(folder: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trials.try_out(folder)
    os.kill(zygotes()[0], signal.SIGSTOP)
    monkeypatch.setattr("caveat.service.desk.versions.trials.seconds_of", lambda _: 0.2)
    monkeypatch.setattr("caveat.service.desk.versions.trials._START", 0.0)
    with pytest.raises(BundleError, match="has ended"):
        trials.try_out(folder)
    assert not zygotes()


def test_a_warm_up_that_takes_too_long_is_a_failure(
    tmp_path: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = linear_regression()
    manifest = bundle.manifest.model_copy(update={"example": [[1, 1, 1e6]]})
    slow = store.add(tmp_path, pack(manifest, {**bundle.files, PREDICT: as_long_as_its_rows_say()}))
    monkeypatch.setattr("caveat.service.desk.versions.attempt._WARM_UP", 0.01)
    result = attempt(slow, Settings(), trials).result
    assert isinstance(result, Failure)
    assert "takes more than" in result.reason


@pytest.mark.slow
def test_a_graph_that_takes_too_long_is_refused(folder: Path, trials: Trials) -> None:
    seal(folder, predict_onnx=endless(10**8))
    with pytest.raises(BundleError, match=r"tabular/1/predict.onnx: takes more than 20 seconds"):
        trials.try_out(folder)


def test_memory_beyond_the_limit_is_refused(folder: Path, trials: Trials) -> None:
    """The memory of constants is bounded by the process, as the engine's limit is for runs alone."""
    nodes = [NODE("ConstantOfShape", ["shape"], [f"zeros {number}"], value=None) for number in range(8)]
    wide = graph(
        [*nodes, NODE("Sum", [f"zeros {number}" for number in range(8)], ["zeros"])],
        "zeros",
        shape=np.array([2**27 - 1]),
    )
    seal(folder, predict_onnx=wide)
    with pytest.raises(BundleError, match=r"memory|bad_alloc"):
        trials.try_out(folder)


def test_a_bundle_that_ships_is_not_tried_and_one_that_only_looks_like_it_is(
    tmp_path: Path, trials: Trials
) -> None:
    ours = store.load(BUNDLED / "digits" / "1")
    same = store.add(tmp_path / "same", ours)
    assert trials.try_out(same) == ours.manifest.identity
    assert not zygotes()
    other = store.add(tmp_path / "other", pack(ours.manifest, {**ours.files, CARD: b"another"}))
    assert trials.try_out(other) != ours.manifest.identity
    assert zygotes()


def test_a_bundle_that_changes_after_its_trial_is_not_loaded(
    folder: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = trials.try_out

    def then_changed(of: Path) -> str:
        identity = tried(of)
        edit(of, description="another one")
        return identity

    monkeypatch.setattr(trials, "try_out", then_changed)
    result = attempt(folder, Settings(), trials).result
    assert isinstance(result, Failure)
    assert (result.reason, result.incomplete) == (f"{folder}: changes while it is loaded", True)


def test_modules_in_the_working_directory_are_not_those_of_the_trial(
    folder: Path, trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert trials.try_out(folder)


def test_a_request_that_takes_for_ever_ends_at_its_deadline_and_nothing_else_waits(tmp_path: Path) -> None:
    bundle = linear_regression()
    manifest = bundle.manifest.model_copy(update={"example": [[1, 2, 3]]})
    slow = pack(manifest, {**bundle.files, PREDICT: as_long_as_its_rows_say()})
    store.add(tmp_path, slow)
    with serving(tmp_path, "--timeout", "1") as service:
        for _ in range(50):  # until such requests are answered on the event loop
            assert service.ask("/predict", inputs=[[1, 1, 1]]).status_code == 200
        late: list[int] = []
        asking = threading.Thread(
            target=lambda: late.append(service.ask("/predict", inputs=[[1, 1, 1e8]]).status_code)
        )
        asking.start()
        alive = 0
        while asking.is_alive():
            alive += service.get("/health/live").status_code == 200
        assert (late, alive > 10) == ([504], True)
        assert service.ask("/predict", inputs=[[1, 1, 1]]).status_code == 200


def test_a_stop_ends_a_trial_and_a_run(tmp_path: Path) -> None:
    store.add(tmp_path, linear_regression())
    with operated(tmp_path, "--poll", "0.05", "--drain", "0.2") as service:
        bundle = linear_regression(version=2)
        store.add(tmp_path, pack(bundle.manifest, {**bundle.files, PREDICT: endless(10**8)}))
        until(lambda: bool(children(service.process.pid)))
        process = children(service.process.pid)[0]
        until(lambda: bool(children(process)))
        service.process.terminate()
        assert service.process.wait(15) == 0
        until(lambda: not Path(f"/proc/{process}").exists())


def test_a_rollout_goes_on_past_files_that_are_no_files(tmp_path: Path) -> None:
    store.add(tmp_path, linear_regression())
    aliases = tmp_path / "linear" / "aliases.json"
    with operated(tmp_path, "--poll", "0") as service:
        for command in (
            ["mkfifo"],
            ["ln", "-s", "/dev/zero"],
            ["mkdir"],
            ["truncate", "-s", "3G"],
        ):
            subprocess.run([*command, str(aliases)], check=True)
            reloaded = service.client.post("/admin/reload").json()
            (failing,) = reloaded["failing"]
            assert str(aliases) in failing["reason"]
            assert service.ask("/predict", inputs=[[1, 2, 3]]).status_code == 200
            subprocess.run(["rm", "-r", str(aliases)], check=True)
        assert service.client.post("/admin/reload").json()["failing"] == []
