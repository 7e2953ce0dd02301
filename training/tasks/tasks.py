"""All tasks by name: one for each file of this package that defines one."""

from importlib import import_module
from pkgutil import iter_modules

from caveat.models.bundles.manifest import Manifest
from caveat.training import tasks
from caveat.training.tasks.task import Learning

for _module in iter_modules(tasks.__path__):
    import_module(f"{tasks.__name__}.{_module.name}")


def every() -> list[Learning]:
    """List the tasks.

    >>> [task.name for task in every()]
    ['classification', 'regression']
    """
    return sorted((task() for task in Learning.__subclasses__()), key=lambda task: task.name)


def named(name: str) -> Learning:
    """Find a task.

    Raises
    ------
    ValueError
        If there is no task of this name.
    """
    known = {task.name: task for task in every()}
    if name not in known:
        raise ValueError(f"there is no task {name!r}; expected {' or '.join(known)}")
    return known[name]


def of(manifest: Manifest) -> Learning:
    """Find the task of a model."""
    return named(manifest.task)
