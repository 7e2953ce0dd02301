"""Every damaged bundle is refused with a reason, and no file outside the bundle is read."""

import os
import resource
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from caveat.commands import main
from caveat.models import trial
from caveat.models.bundles import store
from caveat.models.bundles.bundle import CARD, BundleError
from caveat.models.bundles.example import example_rows
from caveat.models.errors import InputError
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression
from tests.models.damage.calibrations import CALIBRATIONS
from tests.models.damage.damage import PAGE, Damage, edit, seal, sound
from tests.models.damage.examples import EXAMPLES
from tests.models.damage.files import FILES
from tests.models.damage.graphs import NODE, apart, endless, graph
from tests.models.damage.manifests import MANIFESTS
from tests.models.damage.refused_graphs import ANSWERS, GRAPHS
from tests.models.damage.watch import watched

DAMAGES = FILES | MANIFESTS | GRAPHS | ANSWERS | CALIBRATIONS | EXAMPLES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sound(tmp_path)


def load(folder: Path) -> Predictor:
    """Load as the service does."""
    predictor = Predictor(store.load(folder), threads=1)
    trial.try_out(predictor, example_rows(predictor.manifest, predictor.example))
    return predictor


def resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_the_undamaged_bundle_loads(folder: Path) -> None:
    assert load(folder).card == PAGE


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_bundle_is_refused_with_a_reason_and_nothing_outside_is_read(
    folder: Path, damage: Damage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damage.do(folder)
    outside = folder.parents[2] / "outside"
    monkeypatch.chdir(outside)  # where an engine looks for files that a graph names
    before = resident()
    with watched(outside) as seen:
        with pytest.raises(BundleError, match=damage.words) as refused:
            load(folder)
        inspected = main(["inspect", str(folder)])
    assert seen == []
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) <= 500
    assert resident() - before < 300e6
    out, told = capsys.readouterr()
    assert (inspected, told.count("\n")) in ((0, 0), (1, 1))
    assert "\x1b" not in out


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_without_the_checks_files_outside_are_read_and_the_watch_sees_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = folder.parents[2] / "outside"
    monkeypatch.chdir(outside)
    with watched(outside) as seen:
        (outside / "secret").read_bytes()
    assert set(seen) == {"secret"}
    with watched(outside) as seen:
        onnxruntime.InferenceSession(apart("secret", inside="branch"))
    assert set(seen) == {"secret"}


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_weights_come_from_the_bundle_and_not_from_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.add(folder.parents[1], linear_regression())
    outside = folder.parents[2] / "outside"
    (outside / "weights.bin").write_bytes(bytes(64))
    monkeypatch.chdir(outside)
    seven = np.full(3, 7, np.float32).tobytes()
    seal(folder, weights_bin=bytes(52) + seven, predict_onnx=apart("weights.bin", offset="52"))
    with watched(outside) as seen:
        predictor = Predictor(store.load(folder), threads=1)
        assert predictor.predict({"x": np.ones((2, 3), np.float32)}).tolist() == [24, 24]
    assert seen == []


def test_an_endless_graph_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    seal(folder, predict_onnx=endless(10**8))
    with pytest.raises(BundleError, match=r"predict.onnx: takes more than 0.5 seconds"):
        load(folder)


def test_memory_is_bounded_in_every_later_run_too(folder: Path) -> None:
    folder = store.add(folder.parents[1], linear_regression())
    grown = graph(
        [
            NODE("Cast", ["x"], ["n"], to=TensorProto.INT64),
            NODE("ReduceMax", ["n"], ["largest"], keepdims=0),
            NODE("Reshape", ["largest", "line"], ["most"]),
            NODE("Expand", ["one", "most"], ["b"]),
        ],
        "b",
        one=np.array([1], np.float32),
        line=np.array([1]),
    )
    seal(folder, predict_onnx=grown)
    bundle = store.load(folder)
    predictor = Predictor(bundle, threads=1)
    rows = np.array([[1, 1, 1], [1, 1, 2]], np.float32)
    assert predictor.predict({"x": rows}).shape == (2,)
    before = resident()
    with pytest.raises(InputError, match="values that the network can run on") as refused:
        predictor.predict({"x": rows * 2**30})
    assert str(refused.value.__cause__) == "takes more than 512 MiB of memory"
    assert resident() - before < 100e6
    assert predictor.predict({"x": rows}).shape == (2,)


def test_a_hard_link_is_read_as_a_plain_file(folder: Path) -> None:
    os.link(folder / CARD, folder.parents[2] / "outside" / "card")
    assert load(folder).card == PAGE


def test_a_store_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder.parents[1])
    assert load(tmp_path / "link" / "tabular" / "1").card == PAGE


def test_a_class_may_have_any_name_of_one_line(folder: Path) -> None:
    edit(folder, classes=["<script>alert(1)</script>", "../não, 👩‍🔬"])
    assert load(folder).manifest.classes == ("<script>alert(1)</script>", "../não, 👩‍🔬")
