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

from caveat.models.bundles import files, plain_json
from caveat.models.bundles.files import BundleError, IncompleteError
from caveat.models.bundles.manifest import NAME
from caveat.models.errors import CaveatError, one_line

FILE: Final = "aliases.json"

_LARGEST: Final = 2**20
"""Bytes of the file at most (1 MiB)."""


class AliasError(CaveatError):
    """A file of aliases that can't be read or written; the message names the file."""


def sound(alias: str) -> bool:
    """Tell whether a text can be an alias: a valid name of a model that is not a number (a version).

    >>> sound("champion"), sound("3")
    (True, False)
    """
    return re.fullmatch(NAME, alias) is not None and not alias.isdigit()


def _checked(alias: str) -> str:
    if not sound(alias):
        raise ValueError("expected a name of small letters, digits, - and _ that is not a number")
    return alias


_ALIASES = TypeAdapter(
    dict[Annotated[str, AfterValidator(_checked)], Annotated[int, Field(ge=1)]],
    config=ConfigDict(strict=True),
)


def read(model: Path) -> dict[str, int]:
    """Read the aliases in a model's folder; an empty mapping if the folder has no file of aliases.

    Raises
    ------
    AliasError
        If the file can't be read, or is not a JSON object of aliases and their versions.
    """
    path = model / FILE
    expected = 'expected an object such as {"champion": 3}'
    try:
        content = files.read(path, _LARGEST)
        plain_json.check(content)
        return _ALIASES.validate_json(content)
    except IncompleteError:
        return {}
    except BundleError as error:
        raise AliasError(str(error)) from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise AliasError(one_line(f"{path}: {expected}: {place}{': ' * bool(place)}{fault['msg']}")) from None
    except ValueError as error:
        raise AliasError(one_line(f"{path}: {expected}: Invalid JSON: {error}")) from None


def point(model: Path, alias: str, version: int | None) -> None:
    """Point an alias at a version, or remove the alias if ``version`` is None.

    The file is replaced in one step: a concurrent reader finds it either as before or as after.

    Raises
    ------
    AliasError
        If the file can't be read or written.
    """
    try:
        with _locked(model):
            known = read(model)
            known.pop(alias, None)
            _replace(model / FILE, known if version is None else known | {alias: version})
    except OSError as error:
        raise AliasError(f"{model}: the service can't write there: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a model's folder, so that one process at a time changes its aliases."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with files.locked(descriptor) as held:
            if not held:
                raise AliasError(f"{folder}: another process holds the lock of the aliases; try again")
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
