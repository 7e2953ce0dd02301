"""All tasks by name: one for each file of this package that defines one."""

from caveat.models import tasks
from caveat.models.tasks import registry
from caveat.models.tasks.facts import Facts
from caveat.models.tasks.task import Task

registry.import_all(tasks)


def every() -> list[type[Task]]:
    """List the tasks.

    >>> [task.name for task in every()]
    ['classification', 'regression']
    """
    return sorted(registry.below(Task.__subclasses__()), key=lambda task: task.name)


def named(name: str) -> type[Task]:
    """Find a task; ValueError if there is none of this name."""
    return registry.one(every(), name)


def of(facts: Facts) -> Task:
    """Make the task of a model."""
    return named(facts.task)(facts)
