import os
import subprocess
import sys
from pathlib import Path

import pytest

from caveat.models.bundles.files import BundleError, IncompleteError
from caveat.models.bundles.shared import SharedFile, share

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the file, on other systems")

CONTENT = bytes(range(256)) * 64
OTHER = CONTENT[::-1]

_HOLDING = """
import sys
from pathlib import Path
from caveat.models.bundles.shared import share
held = share(Path(sys.argv[1]), 2**20, sys.argv[2])
print("holding", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(CONTENT)
    return path


def test_a_shared_file_has_the_content_of_the_file(file: Path) -> None:
    content = share(file, len(CONTENT), "a")
    assert isinstance(content, SharedFile)
    assert content[:] == CONTENT
    assert not content.changed


def test_a_process_takes_the_memory_that_another_holds(file: Path) -> None:
    """Of a file that has changed meanwhile, without its digest: so where the content comes from shows."""
    command = [sys.executable, "-c", _HOLDING, str(file), "of two processes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holding\n"
        file.write_bytes(OTHER)
        assert share(file, len(OTHER), "of two processes")[:] == CONTENT
        other.communicate("")
    assert share(file, len(OTHER), "of two processes")[:] == OTHER  # nobody holds it any more


def test_content_stays_as_it_was_whatever_becomes_of_the_file(file: Path) -> None:
    content = share(file, len(CONTENT), "b")
    assert isinstance(content, SharedFile)
    with file.open("r+b") as written:
        written.write(OTHER)
    assert content[:] == CONTENT
    assert content.changed
    os.truncate(file, 0)
    assert content[:] == CONTENT
    file.unlink()
    assert content[:] == CONTENT
    assert content.changed


def test_nobody_can_write_into_the_memory(file: Path) -> None:
    content = share(file, len(CONTENT), "c")
    named = [(path, path.resolve()) for path in Path("/proc/self/fd").iterdir()]
    (memory,) = (path for path, target in named if "caveat-c" in target.name)
    with pytest.raises(PermissionError), memory.open("r+b") as written:
        written.write(OTHER)
    with pytest.raises(PermissionError):
        os.truncate(memory, 1)
    assert content[:] == CONTENT


def test_memory_that_is_not_sealed_is_not_taken(file: Path) -> None:
    memory = os.memfd_create("caveat-d")
    os.write(memory, OTHER)
    try:
        assert share(file, len(CONTENT), "d")[:] == CONTENT
    finally:
        os.close(memory)


def test_a_file_that_is_empty_or_cut_off_is_read_as_it_is(file: Path) -> None:
    """The caller compares the size with the manifest's."""
    os.truncate(file, 100)
    assert share(file, len(CONTENT), "f")[:] == CONTENT[:100]
    os.truncate(file, 0)
    assert share(file, len(CONTENT), "g")[:] == b""


def test_a_system_that_allows_no_such_memory_reads_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", denied)
    assert share(file, len(CONTENT), "h") == CONTENT


def test_files_that_are_no_plain_files_of_that_size_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds 16,384 bytes; expected at most 10"):
        share(file, 10, "e")
    with pytest.raises(IncompleteError, match="missing"):
        share(tmp_path / "none", 10, "e")
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(BundleError, match="not a plain file"):
        share(link, 2**20, "e")
