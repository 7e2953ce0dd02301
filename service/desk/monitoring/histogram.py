"""A histogram that takes many amounts at once.

The histogram of prometheus-client takes one amount at a time: for the rows of a large request that would
take longer than the answer.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily

from caveat.service.desk.monitoring.series import Amounts, Kind, Series


class Histogram(Series):
    """A histogram, with a count for each bucket, and a sum, for each combination of its labels' values.

    Parameters
    ----------
    name, words
        Name of the histogram, and its help text.
    buckets
        Upper bounds of the buckets in ascending order, without the last one, which is infinite.
    labels
        Names of the labels.
    """

    def __init__(self, name: str, words: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> None:
        bounds = [*buckets, inf]
        super().__init__(Kind(name, "sum"), words, labels, len(bounds) + 1)
        self._bounds = np.array(bounds, np.float64)
        self._written = [written(bound) for bound in bounds]

    def observe(self, amounts: ArrayLike, *labels: object) -> None:
        """Add amounts to the buckets.

        Parameters
        ----------
        amounts
            Amounts, of any shape.
        labels
            Values of the labels, in their order.
        """
        array = np.asarray(amounts, np.float64).ravel()
        into = self._at(labels)
        into[:-1] += np.bincount(self._bounds.searchsorted(array), minlength=len(self._bounds))
        into[-1] += array.sum()

    def family(self, amounts: Amounts) -> Metric:  # noqa: D102  # of the base class
        family = HistogramMetricFamily(self.kind.name, self._words, labels=self._labels)
        for labels, (*counts, total) in amounts.items():
            family.add_metric(labels, list(zip(self._written, accumulate(counts), strict=True)), total)
        return family

    def numbers(self, amounts: Sequence[float]) -> Iterable[float]:  # noqa: D102  # of the base class
        *counts, total = amounts
        up_to = list(accumulate(counts))
        return [*up_to, up_to[-1], total]


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
