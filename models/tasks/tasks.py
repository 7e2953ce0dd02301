"""All tasks by name: one for each file of this package that defines one."""

from importlib import import_module
from pkgutil import iter_modules

from caveat.models import tasks
from caveat.models.tasks.facts import Facts
from caveat.models.tasks.task import Task

for _module in iter_modules(tasks.__path__):
    import_module(f"{tasks.__name__}.{_module.name}")


def every() -> list[type[Task]]:
    """List the tasks.

    >>> [task.name for task in every()]
    ['classification', 'regression']
    """
    return sorted(Task.__subclasses__(), key=lambda task: task.name)


def named(name: str) -> type[Task]:
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


def of(facts: Facts) -> Task:
    """Make the task of a model."""
    return named(facts.task)(facts)
