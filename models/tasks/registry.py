"""Tasks by name: each is found by the file that defines it, so that a further one needs no other edit."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Protocol, TypeVar


class Named(Protocol):
    """What has a task's name."""

    @property
    def name(self) -> str:
        """Name of the task."""


T = TypeVar("T", bound=Named)
K = TypeVar("K")


def import_all(package: ModuleType) -> None:
    """Import every module of a package, which makes its tasks known as subclasses of their base class."""
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")


def below(found: Iterable[type[K]]) -> Iterator[type[K]]:
    """List classes, and those that are derived from them."""
    for kind in found:
        yield kind
        yield from below(kind.__subclasses__())


def one(known: Iterable[T], name: str) -> T:
    """Find a task by its name.

    Raises
    ------
    ValueError
        If there is no task of this name.
    """
    by_name = {task.name: task for task in known}
    if name not in by_name:
        raise ValueError(f"there is no task {name!r}; expected {' or '.join(by_name)}")
    return by_name[name]
