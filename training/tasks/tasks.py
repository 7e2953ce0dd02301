"""All tasks by name: one for each file of this package that defines one."""

from caveat.models.bundles.manifest import Manifest
from caveat.models.tasks import registry
from caveat.training import tasks
from caveat.training.tasks.task import Learning

registry.import_all(tasks)


def every() -> list[Learning]:
    """List the tasks.

    >>> [task.name for task in every()]
    ['classification', 'regression']
    """
    return sorted((task() for task in registry.below(Learning.__subclasses__())), key=lambda task: task.name)


def named(name: str) -> Learning:
    """Find a task; ValueError if there is none of this name."""
    return registry.one(every(), name)


def of(manifest: Manifest) -> Learning:
    """Find the task of a model."""
    return named(manifest.task)
