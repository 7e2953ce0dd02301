"""Text files: their type by their name, unpacked, and decoded."""

import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TextIO

from caveat.training.errors import DataError

PACKED: Final[Mapping[str, Callable[[Path], Any]]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
"""What opens a packed file, by its last suffix."""

_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_ZIP: Final = b"PK\x03\x04"

_SHOWN: Final = 20  # bytes of a line to show around one that can't be decoded


def kind_of(path: Path) -> str:
    """Give the type of a file, in lower case, by its last suffix but that of packing.

    >>> kind_of(Path("houses.CSV.gz")), kind_of(Path("v1.2/rows.jsonl"))
    ('.csv', '.jsonl')
    """
    bare = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return bare.suffix.lower()


def name_of(path: Path) -> str:
    """Give the name of a file without suffixes of its type and of packing.

    >>> name_of(Path("data/houses.2026.csv.gz"))
    'houses.2026'
    """
    return path.with_suffix("").stem if path.suffix.lower() in PACKED else path.stem


@contextmanager
def opened(path: Path, encoding: str | None) -> Iterator[TextIO]:
    """Open a text file, packed or not, whose lines may end in any way.

    Raises
    ------
    DataError
        If the encoding is unknown, a line has another one, or the file is damaged.
    """
    known = _known(path, encoding)
    try:
        with _bytes(path) as raw:
            start = raw.read(4)
            raw.seek(0)
            if start == _ZIP:
                raise DataError(f"{path}: is a ZIP archive, as Excel's files are; save the table as CSV")
            if start[:2] in _WIDE and known == "utf-8-sig":
                raise DataError(f"{path}: line 1 is not UTF-8 but UTF-16; add --encoding utf-16")
            with io.TextIOWrapper(raw, known, newline="") as text:
                yield text
    except UnicodeDecodeError as error:
        raise DataError(_undecodable(path, known, error)) from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path}: {error}") from None


def _known(path: Path, encoding: str | None) -> str:
    try:
        found = codecs.lookup(encoding or "utf-8")
        io.TextIOWrapper(io.BytesIO(), found.name)  # refuses those that turn text into text
    except LookupError:
        raise DataError(
            f"{path}: unknown encoding {encoding!r}; expected one that Python knows, such as utf-8, latin-1, "
            "cp1252 or utf-16"
        ) from None
    return "utf-8-sig" if found.name == "utf-8" else found.name


def _bytes(path: Path) -> IO[bytes]:
    unpack = PACKED.get(path.suffix.lower())
    file: IO[bytes] = path.open("rb") if unpack is None else unpack(path)
    return file


def _undecodable(path: Path, encoding: str, error: UnicodeDecodeError) -> str:
    """Say which line can't be decoded."""
    shown = "UTF-8" if encoding == "utf-8-sig" else encoding
    if encoding != "utf-8-sig":
        return f"{path}: is not {shown}: {error.reason}; try another --encoding"
    with _bytes(path) as raw:
        for number, line in enumerate(raw, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as found:
                around = line[max(0, found.start - _SHOWN) : found.end + _SHOWN].strip()
                guess = "cp1252" if 0x80 <= line[found.start] < 0xA0 else "latin-1"
                return (
                    f"{path}: line {number} is not {shown} (byte 0x{line[found.start]:02x}); add --encoding "
                    f"{guess} if it should read {around.decode(guess, 'replace')!r}, or the encoding that "
                    "the file has"
                )
    return f"{path}: is not {shown}: {error.reason}; name its encoding with --encoding"
