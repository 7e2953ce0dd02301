"""A histogram that takes many amounts at once.

The histogram of prometheus-client takes one amount at a time: for the rows of a large request that would
take longer than the answer. Here each bucket is a counter, and a read of the metrics joins the counters.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import inf

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Histogram(Collector):
    """A histogram, with series for each combination of its labels' values.

    Parameters
    ----------
    name, words
        Name of the histogram, and its help text.
    buckets
        Upper bounds of the buckets in ascending order, without the last one, which is infinite.
    labels
        Names of the labels.
    registry
        Registry that exposes the histogram.
    """

    def __init__(
        self,
        name: str,
        words: str,
        buckets: Sequence[float],
        labels: Sequence[str] = (),
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._name = name
        self._words = words
        self._labels = tuple(labels)
        bounds = [*buckets, inf]
        self._bounds = np.array(bounds, np.float64)
        self._written = [written(bound) for bound in bounds]
        self._counts = Counter(f"{name}_bucket", words, [*labels, "le"], registry=None)
        # A gauge, since a sum may fall; the sums of processes that have ended count, as their counters do.
        self._sums = Gauge(f"{name}_sum", words, labels, registry=None, multiprocess_mode="sum")
        self._series: dict[tuple[object, ...], tuple[list[Counter], Gauge]] = {}
        if not labels:
            self._begin(())
        if registry:
            registry.register(self)

    def observe(self, amounts: ArrayLike, *labels: object) -> None:
        """Add amounts to the buckets.

        Parameters
        ----------
        amounts
            Amounts, of any shape.
        labels
            Values of the labels, in their order.
        """
        counters, total = self._series.get(labels) or self._begin(labels)
        array = np.asarray(amounts, np.float64).ravel()
        counts = np.bincount(self._bounds.searchsorted(array), minlength=len(self._bounds))
        for counter, count in zip(counters, counts.tolist(), strict=True):
            if count:
                counter.inc(count)
        total.inc(float(array.sum()))

    def collect(self) -> list[Metric]:
        """Return the counts of this process."""
        return self.join({part.name: part for each in (self._counts, self._sums) for part in each.collect()})

    def join(self, metrics: dict[str, Metric]) -> list[Metric]:
        """Remove the counters and sums of this histogram from metrics, and join them into one metric."""
        counts, sums = (metrics.pop(f"{self._name}_{part}", None) for part in ("bucket", "sum"))
        return [] if counts is None or sums is None else [self._family(counts, sums)]

    def _family(self, counts: Metric, sums: Metric) -> Metric:
        found = {
            (self._values(sample.labels), sample.labels["le"]): sample.value
            for sample in counts.samples
            if sample.name.endswith("_total")
        }
        family = HistogramMetricFamily(self._name, self._words, labels=self._labels)
        for sample in sums.samples:
            values = self._values(sample.labels)
            up_to = accumulate(found.get((values, bound), 0.0) for bound in self._written)
            family.add_metric(values, list(zip(self._written, up_to, strict=True)), sample.value)
        return family

    def _begin(self, labels: tuple[object, ...]) -> tuple[list[Counter], Gauge]:
        counters = [self._counts.labels(*labels, bound) for bound in self._written]
        series = counters, self._sums.labels(*labels) if labels else self._sums
        self._series[labels] = series
        return series

    def _values(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(labels[name] for name in self._labels)


def written(bound: float) -> str:
    """Write a bound as prometheus-client does.

    Examples
    --------
    >>> [written(bound) for bound in (0.00025, 10, 3e5, 1e6, inf)]
    ['0.00025', '10.0', '300000.0', '1e+06', '+Inf']
    """
    if bound == inf:
        return "+Inf"
    return f"{bound:g}" if bound >= 1e6 else str(float(bound))
