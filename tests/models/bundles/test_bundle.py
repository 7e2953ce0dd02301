import json
import math
from pathlib import Path

import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import MANIFEST, Bundle, BundleError, pack
from caveat.models.bundles.manifest import Cost, Manifest, Site
from caveat.models.bundles.signature import Input

MODEL = Manifest(
    name="toy",
    version=1,
    task="regression",
    inputs=(Input(name="x", dtype="float32", shape=("rows", 3)),),
    output=("rows",),
    outputs="mean",
    sites=(Site(name="drop", kind="dropout", rate=0.5, shape=("passes", 1, 3)),),
    cost=Cost(row=3, row_pass=3, mask=3),
    noise_variance=1.0,
)


@pytest.fixture
def toy() -> Bundle:
    return pack(MODEL, {"predict.onnx": b"predict", "passes.onnx": b"passes"})


@pytest.fixture
def folder(toy: Bundle, tmp_path: Path) -> Path:
    return store.add(tmp_path / "store", toy)


def test_a_loaded_bundle_equals_the_saved_one(toy: Bundle, folder: Path) -> None:
    loaded = store.load(folder)
    assert loaded == toy
    assert loaded.manifest.digest == toy.manifest.digest


def test_versions_count_up_and_share_a_digest(toy: Bundle, folder: Path) -> None:
    second = store.add(folder.parent.parent, toy)
    assert [path.name for path in store.bundle_folders(folder.parent.parent)] == ["1", "2"]
    assert store.find(folder.parent) == second
    assert store.load(second).manifest.digest == toy.manifest.digest


def test_a_tenth_version_is_higher_than_the_ninth(tmp_path: Path) -> None:
    for version in ("9", "10", "007", "draft", ".incomplete-1"):
        (tmp_path / version).mkdir()
    assert store.versions(tmp_path) == [9, 10]


def test_a_version_is_never_overwritten(toy: Bundle, folder: Path) -> None:
    with pytest.raises(FileExistsError):
        toy.save(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"metrics": {"rmse": math.nan}},
            r"toy: manifest\.json would not be valid: metrics\.rmse: Input should be",
        ),
        ({"noise_variance": math.inf}, "a regression has a noise_variance if its outputs are mean"),
    ],
)
def test_an_invalid_manifest_is_not_written(
    toy: Bundle, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    manifest = toy.manifest.model_copy(update=changes)
    with pytest.raises(BundleError, match=message):
        pack(manifest, toy.files)
    with pytest.raises(BundleError, match=message):
        Bundle(manifest, toy.files).save(tmp_path / "toy" / "1")
    assert list(tmp_path.iterdir()) == []


def edit(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


def test_a_changed_file_is_refused_by_name(folder: Path) -> None:
    (folder / "passes.onnx").write_bytes(b"passed")
    with pytest.raises(BundleError, match=r"passes\.onnx: sha256 is .*, the manifest says"):
        store.load(folder)


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    (folder / "predict.onnx").unlink()
    with pytest.raises(BundleError, match=r"predict\.onnx: missing"):
        store.load(folder)


def test_a_link_in_place_of_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "predict.onnx").rename(tmp_path / "elsewhere")
    (folder / "predict.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"predict\.onnx: missing, or not a plain file"):
        store.load(folder)


@pytest.mark.parametrize("name", ["../../outside", "/etc/hostname", "sub/file"])
def test_a_file_outside_the_bundle_is_never_read(folder: Path, name: str) -> None:
    (folder.parent.parent / "outside").write_bytes(b"passes")
    manifest = json.loads((folder / MANIFEST).read_text())
    edit(folder, files=manifest["files"] | {name: manifest["files"]["passes.onnx"]})
    with pytest.raises(BundleError, match="not a plain file of the bundle"):
        store.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"schema_version": 3},
            "schema_version is 3; this version of Caveat reads 4: make the bundle anew",
        ),
        ({"name": "../up"}, "name: String should match pattern"),
        ({"files": {}}, r"lists no predict\.onnx"),
        ({"sites": []}, "sites: "),
        ({"noise_variance": None}, "a regression has a noise_variance if its outputs are mean"),
        ({"noise_variance": [1.0, 2.0]}, "one noise_variance for each of its targets"),
        ({"output": ["rows", 2]}, "a regression with several targets names each"),
        ({"output": ["rows", 2], "targets": ["a"]}, "targets: Tuple should have at least 2 items"),
        ({"output": ["rows", 2], "targets": ["a", "b"]}, "one noise_variance for each of its targets"),
        ({"output": ["rows", 2], "targets": ["a", "b", "c"]}, "a regression with several targets names each"),
        ({"output": ["rows", 2], "targets": ["a", "b"], "target": "c"}, "either target or targets, not both"),
        ({"surprise": 1}, "surprise: Extra inputs"),
    ],
)
def test_an_invalid_manifest_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=message):
        store.load(folder)


def test_a_manifest_older_than_targets_keeps_its_digest(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["schema_version"] == 4
    assert manifest["noise_variance"] == 1.0
    digest = MODEL.digest
    edit(folder, noise_variance=1)
    del manifest["targets"]  # as in a bundle that is older than the field
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert store.load(folder).manifest.model_copy(update={"files": {}}).digest == digest


def test_a_bundle_with_several_targets_loads_as_it_was_saved(tmp_path: Path) -> None:
    changes = {"output": ("rows", 2), "targets": ("a", "b"), "noise_variance": (1.0, 0.5)}
    manifest = MODEL.model_copy(update=changes)
    bundle = pack(manifest, {"predict.onnx": b"predict", "passes.onnx": b"passes"})
    assert store.load(store.add(tmp_path, bundle)) == bundle


def test_a_manifest_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"name": ')
    with pytest.raises(BundleError, match=r"manifest\.json: Invalid JSON"):
        store.load(folder)


def test_a_bundle_in_the_folder_of_another_version_is_refused(folder: Path) -> None:
    moved = folder.rename(folder.with_name("7"))
    with pytest.raises(BundleError, match=r"says toy/1, but the folder is toy/7"):
        store.load(moved)


def test_a_folder_without_bundles_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle here"):
        store.find(tmp_path)
    with pytest.raises(BundleError, match="not a folder"):
        list(store.bundle_folders(tmp_path / "missing"))


def test_the_digest_depends_on_content_alone(toy: Bundle) -> None:
    renamed = toy.manifest.model_copy(update={"name": "other", "version": 3})
    changed = pack(MODEL, {"predict.onnx": b"predict", "passes.onnx": b"other"}).manifest
    assert renamed.digest == toy.manifest.digest
    assert changed.digest != toy.manifest.digest
