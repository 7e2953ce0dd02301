"""What to install for a part of Caveat whose dependencies are missing."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ImportError):
    """A package is missing that an extra of Caveat brings; the message says how to install it."""


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say which extra brings a package that an import misses.

    Raises
    ------
    MissingExtraError
        If the import fails because a package from elsewhere is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "caveat":
            raise
        raise MissingExtraError(
            f"needs {error.name}, which the extra {extra!r} brings: "
            f"pip install '.[{extra}]' in Caveat's folder",
            name=error.name,
        ) from None
