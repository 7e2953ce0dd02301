"""The counts of all workers, as far as the supervisor has been told."""

from collections.abc import Hashable

from caveat.service.desk.monitoring.series import Amounts, Kind, Tally, lasting, merged


class Counts:
    """Keeps what each worker has counted; of one that has ended, what lasts."""

    def __init__(self) -> None:
        self._tallies: dict[Hashable, dict[Kind, Amounts]] = {}
        self._ended: Tally = {}

    def take(self, worker: Hashable, changes: Tally) -> None:
        """Take the amounts of a worker that have changed."""
        tally = self._tallies.setdefault(worker, {})
        for kind, amounts in changes.items():
            tally[kind] = {**tally.get(kind, {}), **amounts}

    def end(self, worker: Hashable) -> None:
        """Note that a worker has ended: its counts stay, its gauges go."""
        self._ended = merged([self._ended, lasting(self._tallies.pop(worker, {}))])

    def others(self, worker: Hashable) -> Tally:
        """Merge what all other workers have counted."""
        return merged([self._ended, *(tally for each, tally in self._tallies.items() if each != worker)])
