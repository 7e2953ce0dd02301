"""Names that stand for versions of a model: ``<store>/<name>/aliases.json``, such as ``{"champion": 3}``."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from caveat.models.bundles.manifest import NAME
from caveat.models.errors import CaveatError

FILE: Final = "aliases.json"


class AliasError(CaveatError):
    """A file of aliases that can't be read or written; the message names it."""


def sound(alias: str) -> bool:
    """Tell whether this can be an alias: written as a model's name is, and no number, which is a version.

    >>> sound("champion"), sound("3")
    (True, False)
    """
    return re.fullmatch(NAME, alias) is not None and not alias.isdigit()


def _checked(alias: str) -> str:
    if not sound(alias):
        raise ValueError("expected a name in small letters, digits, - and _, and no number")
    return alias


_ALIASES = TypeAdapter(
    dict[Annotated[str, AfterValidator(_checked)], Annotated[int, Field(ge=1)]],
    config=ConfigDict(strict=True),
)


def read(model: Path) -> dict[str, int]:
    """Read the aliases in a model's folder; none, where there is no file.

    Raises
    ------
    AliasError
        If the file can't be read, or holds something else.
    """
    path = model / FILE
    try:
        return _ALIASES.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AliasError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise AliasError(
            f'{path}: not as {{"champion": 3}}: {place}{": " * bool(place)}{fault["msg"]}'
        ) from None


def point(model: Path, alias: str, version: int | None) -> None:
    """Let an alias stand for a version, or for none; who reads the file meanwhile finds it old or new.

    Raises
    ------
    AliasError
        If the file can't be read or written.
    """
    try:
        with _alone(model):
            known = read(model)
            known.pop(alias, None)
            _replace(model / FILE, known if version is None else known | {alias: version})
    except OSError as error:
        raise AliasError(f"{model}: the service can't write there: {error.strerror}") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process change the aliases meanwhile."""
    import fcntl  # which Windows has not

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, aliases: dict[str, int]) -> None:
    with NamedTemporaryFile("w", dir=path.parent, prefix=".incomplete-", delete=False) as scratch:
        try:
            json.dump(dict(sorted(aliases.items())), scratch, indent=2)
            scratch.write("\n")
            scratch.flush()
            os.fsync(scratch.fileno())
            Path(scratch.name).chmod(0o644)
            Path(scratch.name).replace(path)
        except BaseException:
            Path(scratch.name).unlink(missing_ok=True)
            raise
