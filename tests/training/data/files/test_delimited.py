import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from caveat.training.data.files.read import read_table
from caveat.training.data.options import FileOptions
from caveat.training.errors import DataError


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(path: Path, **options: str) -> dict[str, list[str | None]]:
    table = read_table(path, FileOptions.model_validate(options))
    return {name: values.to_list() for name, values in table.columns.items()}


AB = {"a": ["1", "3"], "b": ["x y", "z"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "a,b\n1,x y\n3,z\n"),
        ("t.csv", "a;b\n1;x y\n3;z\n"),
        ("t.csv", "a|b\r\n1|x y\r\n3|z"),
        ("t.txt", "a\tb\n1\tx y\n3\tz\n"),
        ("t.tsv", "a\tb\n1\tx y\n3\tz\n"),
        ("t.csv", "\ufeffa,b\n1,x y\n\n3,z\n\n"),
        ("t.csv", 'a, b\n1, "x y"\n3, z\n'),
        ("t.csv", "sep=;\na;b\n1;x y\n3;z\n"),
        ("t.txt", 'a b\n1 "x y"\n3 z\n'),
        ("t.csv", 'a," b "\r1,x y\r3,z\r'),
    ],
)
def test_values_are_separated_by_what_separates_them(name: str, content: str, tmp_path: Path) -> None:
    assert cells(write(tmp_path, content, name)) == AB


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_packed_files_are_unpacked(suffix: str, pack: type, tmp_path: Path) -> None:
    packed = write(tmp_path, pack(b"a,b\n1,x y\n3,z\n"), f"t.CSV{suffix}")
    assert cells(packed) == AB
    broken = write(tmp_path, packed.read_bytes()[:-9], f"broken.csv{suffix}")
    with pytest.raises(DataError, match=r"broken\.csv"):
        cells(broken)


def test_the_owner_may_say_what_separates(tmp_path: Path) -> None:
    both = write(tmp_path, "a;b,c\n1;2,5\n3;4,5\n")
    with pytest.raises(DataError, match="line 1 can be separated by comma and by semicolon; say which with"):
        cells(both)
    assert cells(both, separator=";") == {"a": ["1", "3"], "b,c": ["2,5", "4,5"]}
    assert cells(both, separator=",") == {"a;b": ["1;2", "3;4"], "c": ["5", "5"]}
    assert cells(write(tmp_path, "a\tb\n1\tx y\n3\tz\n"), separator="tab") == AB
    assert cells(write(tmp_path, "a b\n1 2\n"), separator=" ") == {"a": ["1"], "b": ["2"]}
    with pytest.raises(DataError, match="--separator '::': expected one character, or tab"):
        cells(both, separator="::")


def test_lines_of_another_length_are_named(tmp_path: Path) -> None:
    lines = ["a,b", *["1,2"] * 20, '3,"x\ny"', "4", "5,6,7"]
    with pytest.raises(DataError, match="line 24 has 1 value, the header has 2"):
        cells(write(tmp_path, "\n".join(lines)))
    del lines[-2]
    with pytest.raises(DataError, match="line 24 has 3 values, the header has 2; if the first column"):
        cells(write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; expected a line with the names"),
        (b"a,b\n", "no rows below the header"),
        (b'a,b\n1,2\n3,"x\n5,6\n', "line 3: a quote is opened and never closed"),
        (b'a,b\n1,2\n3,"x"y"\n', "line 3: a quote closes inside of a value"),
        (b"a,b\n1,caf\xe9\n", r"line 2 is not UTF-8 \(byte 0xe9\); add --encoding latin-1 if .* '1,café'"),
        ("a,b\n1,2\n".encode("utf-16"), "line 1 is not UTF-8 but UTF-16; add --encoding utf-16"),
        (b"a,b\n1,2\na,b\n", "line 3 repeats the header; leave it out of the file"),
        (
            b"# made by hand\na,b\n1,2\n",
            "line 2 has 2 values, the header has 1; the header is the first line",
        ),
        (b"PK\x03\x04abc", "is a ZIP archive, as Excel's files are; save the table as CSV"),
        (b"a,b\n1,\x80 5\n", r"add --encoding cp1252 if it should read '1,€ 5'"),
        (b"a,,b,\n1,2,3,4\n", "has no values|several"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    if message == "has no values|several":
        assert list(cells(path)) == ["a", "column 2", "b", "column 4"]
        return
    with pytest.raises(DataError, match=message) as raised:
        cells(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "UTF-8"])
def test_encodings_are_known_by_name(encoding: str, tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,café\n".encode(encoding))
    assert cells(path, encoding=encoding)["b"] == ["café"]


def test_unknown_encodings_are_refused(tmp_path: Path) -> None:
    for name in ("klingon", "rot13", "base64"):
        with pytest.raises(DataError, match=f"unknown encoding '{name}'; expected one that Python knows"):
            cells(write(tmp_path, "a,b\n1,2\n"), encoding=name)
    with pytest.raises(DataError, match=r"is not ascii.*; try another --encoding"):
        cells(write(tmp_path, "a,b\n1,é\n"), encoding="ascii")


def test_names_are_written_on_one_line_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,"price\n(USD)"\n\n1,"x\ny"\n2,z\n')
    table = read_table(path, FileOptions())
    assert list(table.columns) == ["a", "price (USD)"]
    assert (table.numbers.tolist(), table.place(1, "a")) == ([4, 6], f"{path}: line 6: column 'a'")
    assert table.notes == ("the name 'price (USD)' stands on several lines, or has several blanks",)
