"""Answers compared with those to held-out calibration rows: percentiles, regions, abstention."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers import conformal, selection
from caveat.models.answers.percentiles import Percentiles
from caveat.models.answers.uncertainty import Columns
from caveat.models.errors import InputError
from caveat.models.tasks.decisions import Decisions, Tolerance
from caveat.models.tasks.facts import CalibrationFacts

_KEPT_ANSWERS: Final = 256


class Calibration(ABC):
    """The calibration rows of a model: the answers to them, and how wrong these were.

    Parameters
    ----------
    facts
        What the manifest states of the calibration.
    column
        The column of uncertainty by which rows are compared.
    uncertainty, errors
        Uncertainty of the answers to n calibration rows, and how wrong they are, shape (n,), or (n, T) for T
        targets.
    scores
        Conformal scores of the rows' truths, finite, a sequence for each group that keeps a rate by itself: a
        target, a class, or all rows.
    """

    def __init__(
        self,
        facts: CalibrationFacts,
        column: str,
        uncertainty: NDArray[Any],
        errors: NDArray[np.float64],
        scores: Sequence[NDArray[np.float64]],
    ) -> None:
        self.facts = facts
        self.column = column
        self.uncertainty: NDArray[np.float64] = uncertainty.astype(np.float64)
        self._percentiles = [Percentiles(each) for each in by_target(self.uncertainty)]
        self._rows = max(map(len, scores))
        ascending = [np.sort(each) for each in scores]
        # Clients ask for the same few rates again and again. The caches hold arrays, not methods: a cached
        # method would hold this object, which holds the cache, so that neither would be freed.
        self._thresholds = lru_cache(_KEPT_ANSWERS)(partial(_thresholds, self.uncertainty, errors))
        self._quantiles = lru_cache(_KEPT_ANSWERS)(partial(_quantiles, ascending))

    @property
    def highest_coverage(self) -> float:
        """The highest coverage that the calibration rows of some group can support."""
        return conformal.highest_coverage(self._rows)

    def uncertainty_of(self, columns: Columns) -> NDArray[np.float64]:
        """Give the column of answers by which rows are compared, shape (B,), or (B, T)."""
        uncertainty: NDArray[np.float64] = columns[self.column].astype(np.float64)
        return uncertainty

    def columns(self, columns: Columns) -> Columns:
        """Give the columns that the calibration adds to every answer.

        Returns
        -------
        Columns
            ``percentile`` (B,), or (B, T) for T targets: the rank of a row's uncertainty among the
            calibration rows, from 0 (more certain than all) to 100; uniform for rows that are exchangeable
            with the calibration rows.
        """
        values = self.uncertainty_of(columns)
        if values.ndim == 1:
            return {"percentile": self._percentiles[0].of(values)}
        each = zip(self._percentiles, values.T, strict=True)
        return {"percentile": np.stack([percentiles.of(of) for percentiles, of in each], axis=-1)}

    def predicted(
        self,
        columns: Columns,  # noqa: ARG002  # for tasks that calibrate them
    ) -> Columns:
        """Give the columns that the calibration adds to answers without dropout."""
        return {}

    @abstractmethod
    def region(self, columns: Columns, coverage: float) -> NDArray[Any]:
        """Give the prediction region of each row, which holds the truth at the asked rate."""

    def quantiles(self, coverage: float) -> NDArray[np.float64]:
        """Give the highest score in a region, for all rows alike, or for each class or target.

        It is infinite for a class that has too few calibration rows.
        """
        return self._quantiles(coverage)

    def abstain(
        self, columns: Columns, max_error: float, error_tolerance: Tolerance | None
    ) -> NDArray[np.bool_]:
        """Tell which answers to withhold, so that the error rate of the others is at most ``max_error``.

        Shape (B,), or (B, T) with a decision for each target.
        """
        withheld: NDArray[np.bool_] = columns[self.column] > self._thresholds(max_error, error_tolerance)
        return withheld

    def check(self, decisions: Decisions) -> None:
        """Refuse rates that the calibration rows can't support.

        Raises
        ------
        InputError
            With the nearest rate that the calibration rows support.
        """
        if decisions.coverage is not None and decisions.coverage > self.highest_coverage + 1e-12:
            raise InputError(
                "coverage",
                f"at most {self.highest_coverage:.6g}, which {self._rows} calibration rows support",
                str(decisions.coverage),
            )
        if decisions.max_error is not None:
            self._thresholds(decisions.max_error, decisions.error_tolerance)


def _quantiles(scores: Sequence[NDArray[np.float64]], coverage: float) -> NDArray[np.float64]:
    return np.array([conformal.quantile(each, coverage) for each in scores])


def _thresholds(
    uncertainty: NDArray[np.float64],
    errors: NDArray[np.float64],
    max_error: float,
    error_tolerance: Tolerance | None,
) -> NDArray[np.float64]:
    """Give the highest uncertainty at which to answer, for each target."""
    wrong = by_target(errors > (0 if error_tolerance is None else error_tolerance))
    each = by_target(uncertainty)
    found = [selection.threshold(*of, max_error) for of in zip(each, wrong, strict=True)]
    if None in found:
        lowest = max(selection.lowest_error(*of, max_error) for of in zip(each, wrong, strict=True))
        raise InputError(
            "max_error",
            f"at least {lowest:.3g}, the lowest rate that {len(errors)} calibration rows support with a "
            f"confidence of {selection.CONFIDENCE:.0%}",
            str(max_error),
        )
    return np.array(found, np.float64)


def by_target(values: NDArray[Any]) -> NDArray[Any]:
    """Turn shape (n,) into (1, n), and (n, T) into (T, n)."""
    return values.reshape(len(values), -1).T


Arrays = Mapping[str, NDArray[Any]]
"""The arrays of calibration rows by name: their truths, and the columns of the answers to them."""
