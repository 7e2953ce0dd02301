import fcntl
import os
import resource
from pathlib import Path
from threading import Thread

import pytest

from caveat.models.bundles import aliases, files
from caveat.models.bundles.aliases import AliasError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert aliases.read(tmp_path) == {}
    aliases.point(tmp_path, "champion", 3)
    aliases.point(tmp_path, "b", 1)
    aliases.point(tmp_path, "champion", 4)
    assert aliases.read(tmp_path) == {"b": 1, "champion": 4}
    aliases.point(tmp_path, "b", None)
    assert aliases.read(tmp_path) == {"champion": 4}
    assert [path.name for path in tmp_path.iterdir()] == [aliases.FILE]
    assert (tmp_path / aliases.FILE).stat().st_mode & 0o777 == 0o644


def test_concurrent_writers_lose_no_alias(tmp_path: Path) -> None:
    names = [f"alias-{number}" for number in range(20)]
    writers = [Thread(target=aliases.point, args=(tmp_path, name, 1)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(aliases.read(tmp_path)) == sorted(names)


def test_a_failed_write_leaves_the_file_unchanged(tmp_path: Path) -> None:
    aliases.point(tmp_path, "champion", 3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(AliasError, match="can't write there: File too large"):
            aliases.point(tmp_path, "champion", 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert aliases.read(tmp_path) == {"champion": 3}
    assert [path.name for path in tmp_path.iterdir()] == [aliases.FILE]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid JSON"),
        ("[1]", "should be an object"),
        ('{"champion": 3.5}', "champion: "),
        ('{"champion": true}', "champion: "),
        ('{"champion": 0}', "champion: Input should be greater"),
        ('{"3": 3}', "not a number"),
        ('{"../x": 3}', "small letters"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / aliases.FILE).write_text(text)
    with pytest.raises(AliasError, match=message):
        aliases.read(tmp_path)


def test_a_lock_that_another_process_keeps_is_not_awaited_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LOCK", 0.1)
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(AliasError, match="another process holds the lock"):
        aliases.point(tmp_path, "champion", 3)
    os.close(folder)
    aliases.point(tmp_path, "champion", 3)
    assert aliases.read(tmp_path) == {"champion": 3}


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "large"])
def test_only_a_small_plain_file_is_read(tmp_path: Path, kind: str) -> None:
    file = tmp_path / aliases.FILE
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to("/dev/zero")
        case "folder":
            file.mkdir()
        case "large":
            file.write_bytes(b"{}")
            os.truncate(file, 3 * 10**9)
    with pytest.raises(AliasError, match=r"missing, or not a plain file|holds 3,000,000,000 bytes"):
        aliases.read(tmp_path)
