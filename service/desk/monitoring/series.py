"""Series of amounts: one process adds to its own; those of several processes are merged."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import add
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Together = Literal["sum", "livesum", "livemax", "livemin"]
"""How the amounts of several processes combine; ``live`` amounts end with their process."""

_COMBINE: Final[Mapping[Together, Callable[[float, float], float]]] = {
    "sum": add,
    "livesum": add,
    "livemax": max,
    "livemin": min,
}

Labels = tuple[str, ...]

Amounts = Mapping[Labels, Sequence[float]]
"""The amounts of one metric: a few numbers for each combination of its labels' values."""


class Kind(NamedTuple):
    """The name of a metric, and how its amounts combine."""

    name: str
    together: Together


Tally = dict[Kind, Amounts]
"""Amounts by metric, of one process or several."""


class Series(ABC):
    """A metric of this process, with amounts for each combination of its labels' values.

    Parameters
    ----------
    kind
        Name of the metric, and how its amounts combine.
    words
        Help text.
    labels
        Names of the labels.
    width
        Numbers in the amounts of one combination.
    """

    def __init__(self, kind: Kind, words: str, labels: Sequence[str] = (), width: int = 1) -> None:
        self.kind = kind
        self._words = words
        self._labels = tuple(labels)
        self._width = width
        self._amounts: dict[Labels, NDArray[np.float64]] = {}
        self._changed: set[Labels] = set()
        self._heads: dict[Labels, list[str]] = {}
        if not labels:
            self._at(())

    @abstractmethod
    def family(self, amounts: Amounts) -> Metric:
        """Give amounts in the form of prometheus-client."""

    def numbers(self, amounts: Sequence[float]) -> Iterable[float]:
        """Give the number of each line of one combination, in the order of its samples."""
        return amounts

    def text(self, amounts: Amounts) -> Iterator[str]:
        """Render amounts, of this process or of several, in Prometheus's text format.

        prometheus-client takes 7 us for each line; here it writes the line of a combination once, and only
        its number is written anew.
        """
        yield self._comments
        for labels, those in amounts.items():
            heads = self._heads.get(labels) or self._begin(labels)
            for head, number in zip(heads, self.numbers(those), strict=True):
                yield f"{head} {floatToGoString(number)}\n"  # type: ignore[no-untyped-call]

    @cached_property
    def _comments(self) -> str:
        return _rendered(self.family({}))

    def _begin(self, labels: Labels) -> list[str]:
        lines = _rendered(self.family({labels: [0.0] * self._width})).removeprefix(self._comments)
        heads = self._heads[labels] = [line.rpartition(" ")[0] for line in lines.splitlines()]
        return heads

    def amounts(self) -> Amounts:
        """Give the amounts of this process."""
        return {labels: each.tolist() for labels, each in self._amounts.copy().items()}

    def changes(self) -> Amounts:
        """Give the amounts that were touched since the last call."""
        changed, self._changed = self._changed, set()
        return {labels: self._amounts[labels].tolist() for labels in changed}

    def _at(self, labels: Sequence[object]) -> NDArray[np.float64]:
        """Give the amounts to change, which are zero at first."""
        key = tuple(map(str, labels))
        found = self._amounts.get(key)
        if found is None:
            found = self._amounts[key] = np.zeros(self._width)
        self._changed.add(key)
        return found


class Counter(Series):
    """A number that grows."""

    def __init__(self, name: str, words: str, labels: Sequence[str] = ()) -> None:
        super().__init__(Kind(name, "sum"), words, labels)

    def add(self, amount: float, *labels: object) -> None:
        """Add an amount, given the values of the labels in their order."""
        self._at(labels)[0] += amount

    def family(self, amounts: Amounts) -> Metric:  # noqa: D102  # of the base class
        family = CounterMetricFamily(self.kind.name, self._words, labels=self._labels)
        for labels, (amount,) in amounts.items():
            family.add_metric(labels, amount)
        return family


class Gauge(Series):
    """A number that rises and falls."""

    def __init__(
        self, name: str, words: str, labels: Sequence[str] = (), together: Together = "livesum"
    ) -> None:
        super().__init__(Kind(name, together), words, labels)

    def set(self, amount: float, *labels: object) -> None:
        """Set the amount, given the values of the labels in their order."""
        self._at(labels)[0] = amount

    def family(self, amounts: Amounts) -> Metric:  # noqa: D102  # of the base class
        family = GaugeMetricFamily(self.kind.name, self._words, labels=self._labels)
        for labels, (amount,) in amounts.items():
            family.add_metric(labels, amount)
        return family


def merged(tallies: Iterable[Tally]) -> Tally:
    """Merge the tallies of several processes."""
    found: dict[Kind, dict[Labels, Sequence[float]]] = {}
    for tally in tallies:
        for kind, amounts in tally.items():
            into, combine = found.setdefault(kind, {}), _COMBINE[kind.together]
            for labels, those in amounts.items():
                into[labels] = list(map(combine, into[labels], those)) if labels in into else those
    return dict(found)


def lasting(tally: Tally) -> Tally:
    """Give what stays of the tally of a process that has ended."""
    return {kind: amounts for kind, amounts in tally.items() if kind.together == "sum"}


class _One(Collector):
    """Collects a metric that is at hand."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


def _rendered(metric: Metric) -> str:
    return generate_latest(_One(metric)).decode()
