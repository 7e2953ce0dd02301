"""Answers compared with those to held-out calibration rows: percentiles, prediction sets, abstention."""

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers import conformal, selection
from caveat.models.answers.tempering import tempered
from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.manifest import Calibration as Facts
from caveat.models.bundles.manifest import Manifest, Sets
from caveat.models.bundles.signature import InputError

FILE: Final = "calibration.npz"

TRUTH: Final = "truth"
"""The array of the rows' truths: indices of classes, or values; (n,), and (n, T) for T targets."""

MAIN: Final = {"classification": "predictive_entropy", "regression": "variance"}
"""The column of uncertainty by which rows are compared, for each task."""

_KEPT_ANSWERS: Final = 256

_HEADER: Final = 2**16  # most bytes in front of the numbers of an array
_WIDEST: Final = 8  # most bytes of a number

Tolerance = float | tuple[float, ...]
"""The error above which a value is wrong, in the target's units; one for each of several targets."""


class Calibration:
    """The calibration rows of a model: their truths, and the model's answers to them.

    Parameters
    ----------
    manifest
        The model's manifest, which has a calibration.
    arrays
        Arrays by name: `TRUTH`, and the columns of the answers to n rows.
    """

    def __init__(self, manifest: Manifest, arrays: Mapping[str, NDArray[Any]]) -> None:
        assert manifest.calibration is not None
        self.facts: Facts = manifest.calibration
        self._task = manifest.task
        self._classes = manifest.classes
        self._truth = arrays[TRUTH]
        self.uncertainty = self.uncertainty_of(arrays)
        """Uncertainty of the calibration rows, shape (n,) or (n, T)."""
        self._percentiles = [Percentiles(each) for each in _by_target(self.uncertainty)]
        if self._task == "classification":
            every = conformal.scores(self._probabilities(arrays), self._sets)
            scores = np.take_along_axis(every, self._truth[:, None], axis=1)[:, 0]
            self._errors = (arrays["label"] != self._truth).astype(np.float64)
        else:
            self._errors = np.abs(self._truth - arrays["mean"])
            with np.errstate(divide="ignore"):
                scores = self._errors / np.sqrt(arrays["variance"])
        if self.facts.by_class and self._classes:
            self._scores = [np.sort(scores[self._truth == k]) for k in range(len(self._classes))]
        else:
            self._scores = [np.sort(each) for each in _by_target(scores)]
        # Clients ask for the same few rates again and again. The caches hold arrays, not methods: a cached
        # method would hold this object, which holds the cache, so that neither would be freed.
        self._thresholds = lru_cache(_KEPT_ANSWERS)(partial(_thresholds, self.uncertainty, self._errors))
        self._quantiles = lru_cache(_KEPT_ANSWERS)(partial(_quantiles, self._scores))

    @property
    def _sets(self) -> Sets:
        return self.facts.sets or "lac"

    @property
    def highest_coverage(self) -> float:
        """The highest coverage that the calibration rows can support."""
        return conformal.highest_coverage(min(map(len, self._scores)))

    def uncertainty_of(self, columns: Columns) -> NDArray[np.float64]:
        """Give the column of answers by which rows are compared, shape (B,), or (B, T)."""
        uncertainty: NDArray[np.float64] = columns[MAIN[self._task]].astype(np.float64)
        return uncertainty

    def columns(self, columns: Columns) -> Columns:
        """Give the columns that the calibration adds to every answer.

        Returns
        -------
        Columns
            ``probabilities`` (B, C), for a classification: the mean over passes at the temperature that fits
            the calibration rows best. ``percentile`` (B,), or (B, T) for T targets: the rank of a row's
            uncertainty among the calibration rows, from 0 (more certain than all) to 100; uniform for rows
            that are exchangeable with the calibration rows.
        """
        percentile = self._percentile(columns)
        if self._task == "regression":
            return {"percentile": percentile}
        return {"probabilities": self._probabilities(columns), "percentile": percentile}

    def _probabilities(self, columns: Columns) -> NDArray[np.float32]:
        temperature = self.facts.temperature or 1.0
        return tempered(columns["mean"], temperature).astype(np.float32)

    def _percentile(self, columns: Columns) -> NDArray[np.float64]:
        values = self.uncertainty_of(columns)
        if values.ndim == 1:
            return self._percentiles[0].of(values)
        by_target = zip(self._percentiles, values.T, strict=True)
        return np.stack([percentiles.of(each) for percentiles, each in by_target], axis=-1)

    def interval(self, columns: Columns, coverage: float) -> NDArray[np.float64]:
        """Give the lower and upper bound of each row's interval, shape (B, 2), or (B, T, 2)."""
        reach = self._quantiles(coverage) * np.sqrt(columns["variance"])
        return np.stack([columns["mean"] - reach, columns["mean"] + reach], axis=-1)

    def prediction_set(self, columns: Columns, coverage: float) -> NDArray[np.bool_]:
        """Tell which classes are in each row's prediction set, shape (B, C); a set may be empty."""
        held: NDArray[np.bool_] = conformal.scores(columns["probabilities"], self._sets) <= self._quantiles(
            coverage
        )
        return held

    def abstain(
        self, columns: Columns, max_error: float, error_tolerance: Tolerance | None
    ) -> NDArray[np.bool_]:
        """Tell which answers to withhold, so that the error rate of the others is at most ``max_error``.

        Shape (B,), or (B, T) with a decision for each target.
        """
        thresholds = self._thresholds(max_error, error_tolerance)
        withheld: NDArray[np.bool_] = columns[MAIN[self._task]] > thresholds
        return withheld

    def check(
        self, coverage: float | None, max_error: float | None, error_tolerance: Tolerance | None
    ) -> None:
        """Refuse rates that the calibration rows can't support.

        Raises
        ------
        InputError
            With the nearest rate that the calibration rows support.
        """
        if coverage is not None and coverage > self.highest_coverage + 1e-12:
            rows = min(map(len, self._scores))
            raise InputError(
                "coverage",
                f"at most {self.highest_coverage:.6g}, which {rows} calibration rows support",
                str(coverage),
            )
        if max_error is not None:
            self._thresholds(max_error, error_tolerance)


def _quantiles(scores: Sequence[NDArray[np.float64]], coverage: float) -> NDArray[np.float64]:
    """Give the highest score in a set, for all classes alike, or for each class or target."""
    return np.array([conformal.quantile(each, coverage) for each in scores])


def _thresholds(
    uncertainty: NDArray[np.float64],
    errors: NDArray[np.float64],
    max_error: float,
    error_tolerance: Tolerance | None,
) -> NDArray[np.float64]:
    """Give the highest uncertainty at which to answer, for each target."""
    wrong = _by_target(errors > (0 if error_tolerance is None else error_tolerance))
    by_target = _by_target(uncertainty)
    found = [selection.threshold(*of, max_error) for of in zip(by_target, wrong, strict=True)]
    if None in found:
        lowest = max(map(selection.lowest_error, by_target, wrong))
        raise InputError(
            "max_error",
            f"at least {lowest:.3g}, the lowest rate that {len(errors)} calibration rows support with a "
            f"confidence of {selection.CONFIDENCE:.0%}",
            str(max_error),
        )
    return np.array(found, np.float64)


def _by_target(values: NDArray[Any]) -> NDArray[Any]:
    """Turn shape (n,) into (1, n), and (n, T) into (T, n)."""
    return values.reshape(len(values), -1).T


class Percentiles:
    """Percentiles of values among reference values, found by one binary search in NumPy.

    Examples
    --------
    >>> Percentiles(np.array([3.0, 5.0, 5.0])).of(np.array([1, 3, 4, 5, 6]))
    array([12.5, 25. , 37.5, 62.5, 87.5])
    """

    def __init__(self, reference: NDArray[np.float64]) -> None:
        values, counts = np.unique(reference, return_counts=True)
        # Between two bounds lies, by turns, a reference value alone or the gap up to the next one.
        self._bounds = np.stack([values, np.nextafter(values, np.inf)], axis=-1).ravel()
        not_above = np.concatenate([[0], np.cumsum(counts)])
        twice = np.empty(2 * len(values) + 1)
        twice[0::2] = 2 * not_above
        twice[1::2] = not_above[:-1] + not_above[1:]  # a tie ranks in the middle of the equal values
        self._percentiles = (twice + 1) * (50 / (len(reference) + 1))

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Give the percentile of each value, from 0 (below all reference values) to 100."""
        found: NDArray[np.float64] = self._percentiles[self._bounds.searchsorted(values, "right")]
        return found


def read(manifest: Manifest, files: Mapping[str, bytes]) -> Calibration | None:
    """Read the calibration of a bundle; None if the bundle has none.

    Raises
    ------
    KeyError, ValueError
        If the file of arrays is missing or not valid.
    """
    if manifest.calibration is None:
        return None
    with zipfile.ZipFile(io.BytesIO(files[FILE])) as archive:
        arrays = {name: _read(archive, name, shape) for name, shape in _shapes(manifest).items()}
    if manifest.classes and not _are_classes(arrays["label"], arrays[TRUTH], classes=len(manifest.classes)):
        raise ValueError(f"{TRUTH} or label is not an integer from 0 to {len(manifest.classes) - 1}")
    if (arrays[MAIN[manifest.task]] < 0).any():
        raise ValueError(f"{MAIN[manifest.task]} is negative")
    return Calibration(manifest, arrays)


def _shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """List the arrays that a calibration needs, with their shapes."""
    assert manifest.calibration is not None
    rows = (manifest.calibration.rows,)
    if manifest.classes is not None:
        names = (TRUTH, "label", MAIN["classification"])
        return dict.fromkeys(names, rows) | {"mean": (*rows, len(manifest.classes))}
    return dict.fromkeys(
        (TRUTH, "mean", "variance"), (*rows, len(manifest.targets)) if manifest.targets else rows
    )


def _read(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Read an array of numbers; an array that would unpack to more than ``shape`` needs is refused."""
    size = archive.getinfo(f"{name}.npy").file_size
    if size > _HEADER + _WIDEST * math.prod(shape):
        raise ValueError(f"{name} takes {size:,} bytes; expected numbers of shape {shape}")
    with archive.open(f"{name}.npy") as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if array.shape != shape or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; expected numbers of shape {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return array


def _are_classes(*columns: NDArray[Any], classes: int) -> bool:
    return all(
        column.dtype.kind in "iu" and column.min() >= 0 and column.max() < classes for column in columns
    )


def write(truth: NDArray[Any], columns: Columns) -> bytes:
    """Write the file of arrays: the truths of calibration rows, and the columns of the answers."""
    buffer = io.BytesIO()
    kept = {name: column for name, column in columns.items() if name != "passes"}
    np.savez_compressed(buffer, allow_pickle=False, **{TRUTH: truth, **kept})
    return buffer.getvalue()
