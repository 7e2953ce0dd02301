import subprocess
import sys
from pathlib import Path

import pytest

from caveat.commands.inspect import Inspect
from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle, BundleError, pack
from caveat.models.bundles.description import describe
from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Cost, Manifest, Provenance, Site
from caveat.models.bundles.signature import Input
from caveat.models.tasks.facts import CalibrationFacts, ErrorRatios
from tests.bundles import linear_targets, tabular

PETS = (Feature(name="pet", categories=("cat", "dog")), Feature(name="age"))
MANIFEST = Manifest(
    name="vet",
    version=1,
    task="regression",
    inputs=(Input(name="features", dtype="float64", shape=("rows", 2), features=PETS),),
    output=("rows",),
    outputs="mean",
    target="weight",
    sites=(Site(name="network.dropout1", kind="dropout", rate=0.25, shape=("passes", 1, 3)),),
    cost=Cost(row=3, row_pass=3, mask=3),
    noise_variance=2.5,
    provenance=Provenance(seed=7, hyperparameters={"hidden": [128]}, libraries={"torch": "2.13.0"}),
    metrics={"rmse": 1.23456789},
)


@pytest.fixture
def bundle() -> Bundle:
    return pack(MANIFEST, {"predict.onnx": b"predict", "passes.onnx": b"passes"})


def test_the_calibration_is_there(bundle: Bundle) -> None:
    assert "calibration" not in describe(bundle.manifest).splitlines()
    ratios = ErrorRatios(greatest=2.0, ratios=(0.52345, 1.0))
    facts = CalibrationFacts(rows=359, samples=100, seed=3, error_ratios=ratios)
    lines = describe(bundle.manifest.model_copy(update={"calibration": facts})).splitlines()
    for line in (
        "calibration",
        "  rows          359",
        "  samples       100",
        "  error ratios  0.523, 1, from the greatest variance down by halves",
    ):
        assert line in lines


def test_everything_a_person_asks_for_is_there(bundle: Bundle) -> None:
    lines = describe(bundle.manifest).splitlines()
    for line in (
        f"  digest   {bundle.manifest.digest}",
        "  features  float64  (rows, 2)",
        "    pet     one of cat, dog",
        "    age     number",
        "  shape           (rows)",
        "  target          weight",
        "  noise variance  2.5",
        "  network.dropout1  dropout  rate 0.25  (passes, 1, 3)",
        "  rmse  1.235",
        "  seed    7",
        "  hidden  [128]",
        "  torch   2.13.0",
        f"  predict.onnx  7 bytes  {bundle.manifest.files['predict.onnx'].sha256}",
    ):
        assert line in lines


def test_a_models_folder_stands_for_its_highest_version(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add(tmp_path, bundle)
    store.add(tmp_path, bundle)
    Inspect(path=tmp_path / "vet").cli_cmd()
    assert "  version  2\n" in capsys.readouterr().out
    Inspect(path=tmp_path / "vet" / "1").cli_cmd()
    assert "  version  1\n" in capsys.readouterr().out


def test_a_changed_file_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = store.add(tmp_path, bundle)
    (folder / "passes.onnx").write_bytes(b"passed")
    with pytest.raises(BundleError, match=r"passes\.onnx: sha256 is"):
        Inspect(path=folder).cli_cmd()


def test_inspecting_needs_no_torch() -> None:
    code = "import sys, caveat.models.bundles.description; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_target_is_named_with_its_noise() -> None:
    lines = describe(linear_targets().manifest).splitlines()
    assert {"  targets         small, large", "  noise variance  0.25, 400"} <= set(lines)


def test_classes_are_listed_and_what_is_not_stated_is_left_out() -> None:
    text = describe(tabular().manifest)
    assert "  classes  no, yes\n" in text
    assert "noise variance" not in text
    assert "metrics" not in text
    assert "seed" not in text


def test_a_store_is_listed_with_what_cannot_be_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add(tmp_path, linear_targets())
    broken = store.add(tmp_path, linear_targets())
    (broken / "predict.onnx").unlink()
    Inspect(path=tmp_path).cli_cmd()
    head, sound, damaged = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", "version", "task", "sites", "calibrated", "on", "bytes"]
    assert sound.split()[:3] == [broken.parent.name, "1", "regression"]
    assert damaged.split()[:2] == [broken.parent.name, "2"]
    assert "can't be served" in damaged
    assert "predict.onnx: missing" in damaged


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        (Feature(name="f", missing=True), "number or missing"),
        (Feature(name="f", categories=("a", "b"), missing=True), "one of a, b, or missing"),
        (Feature(name="f", categories=("a",), other=True), "one of a, or another"),
        (
            Feature(name="f", categories=("a", "b"), missing=True, other=True),
            "one of a, b, or another, or missing",
        ),
        (Feature(name="f", dates="iso"), "date"),
        (Feature(name="f", dates="iso", missing=True), "date or missing"),
        (Feature(name="f", dates="%d/%m/%Y"), "date, in ISO 8601 or as %d/%m/%Y"),
    ],
)
def test_what_a_feature_may_hold_is_said(feature: Feature, kind: str) -> None:
    spec = Input(name="x", dtype="float64", shape=("rows", 1), features=(feature,))
    assert f"    f  {kind}" in describe(MANIFEST.model_copy(update={"inputs": (spec,)})).splitlines()
