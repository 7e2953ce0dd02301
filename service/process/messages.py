"""What the supervisor and its workers tell each other."""

from dataclasses import dataclass

from caveat.service.desk.monitoring.series import Tally
from caveat.service.desk.versions.changes import Changes
from caveat.service.desk.versions.rollout import Action


@dataclass(frozen=True)
class Order:
    """From a worker: a request for an action in all workers. To a worker: the order to carry it out."""

    number: int
    action: Action


@dataclass(frozen=True)
class Done:
    """From a worker: the changes of an order. To the worker that asked: those of all workers, merged."""

    number: int
    changes: Changes


@dataclass(frozen=True)
class Beat:
    """From a worker, a few times a second: it is alive, and counted this since its last beat."""

    counts: Tally


@dataclass(frozen=True)
class Wanted:
    """From a worker: a request for what the other workers have counted."""


@dataclass(frozen=True)
class Others:
    """To a worker: what the other workers have counted, those that have ended among them."""

    counts: Tally
