import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import BundleError
from tests.bundles import linear_regression, tabular

BUNDLE = linear_regression()


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond a few bytes, as on a disk that is full."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_line_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        full_disk(),
        pytest.raises(BundleError, match="new/store/linear/1: can't be written: File too large"),
    ):
        store.add(tmp_path / "new" / "store", BUNDLE)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_harms_nothing_that_is_there(tmp_path: Path) -> None:
    first = store.add(tmp_path, BUNDLE)
    with full_disk(), pytest.raises(BundleError, match="linear/2: can't be written"):
        store.add(tmp_path, BUNDLE)
    assert [path.name for path in (tmp_path / "linear").iterdir()] == ["1"]
    assert store.load(first).manifest.version == 1


def test_bundles_that_are_added_at_once_become_versions_of_their_own(tmp_path: Path) -> None:
    together = Barrier(8)

    def add() -> None:
        together.wait()
        store.add(tmp_path, BUNDLE)

    threads = [Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.versions(tmp_path / "linear") == list(range(1, 9))


def test_a_file_in_the_place_of_a_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "linear").mkdir()
    (tmp_path / "linear" / "1").touch()
    with pytest.raises(BundleError, match="linear/1: exists, and is no version of a model"):
        store.add(tmp_path, BUNDLE)


def test_a_store_is_looked_at_but_not_made_before_the_work(tmp_path: Path) -> None:
    store.prepare(tmp_path / "new" / "store")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="store: can't write a bundle into this folder: Not a directory"):
        store.prepare(tmp_path / "file" / "store")


def test_a_bundle_is_loaded_by_its_version_or_by_its_model(tmp_path: Path) -> None:
    folders = [store.add(str(tmp_path), BUNDLE) for _ in range(2)]
    assert store.load(folders[0]).manifest.version == 1
    assert store.load(str(tmp_path / "linear")).manifest.version == 2
    with pytest.raises(BundleError, match="no bundle here; expected"):
        store.load(tmp_path)


def test_a_store_is_told_from_a_model_and_from_a_bundle(tmp_path: Path) -> None:
    folder = store.add(tmp_path, tabular())
    assert store.is_store(tmp_path)
    assert not any(
        map(store.is_store, (folder, folder.parent, tmp_path / "nothing", folder / "manifest.json"))
    )
