"""What held-out rows say of an answer: how sure it is beside theirs, what is possible, when to abstain."""

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
"""The array of the rows' truths: indices of classes, or values, of T targets (n, T)."""

MAIN: Final = {"classification": "predictive_entropy", "regression": "variance"}
"""The uncertainty by which rows are compared, of each task."""

_KEPT_ANSWERS: Final = 256

_HEAD: Final = 2**16  # bytes in front of the numbers of an array
_WIDEST: Final = 8  # bytes of a number

Tolerance = float | tuple[float, ...]
"""From which error on a value is wrong, in its units; of several targets one for each."""


class Calibration:
    """The calibration rows of a model: their truths, and how it answered them.

    Parameters
    ----------
    manifest
        Of the model; it has a calibration.
    arrays
        `TRUTH`, and the columns of the answers to n rows.
    """

    def __init__(self, manifest: Manifest, arrays: Mapping[str, NDArray[Any]]) -> None:
        assert manifest.calibration is not None
        self.facts: Facts = manifest.calibration
        self._task = manifest.task
        self._classes = manifest.classes
        self._truth = arrays[TRUTH]
        self.uncertainty = self.uncertainty_of(arrays)
        """Of the calibration rows, (n,) or (n, T)."""
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
        # Clients ask for the same few rates again and again.
        # (Of arrays, not of methods: those would hold what holds them, and it would never be freed.)
        of = partial(_thresholds, self.uncertainty, self._errors)
        self._thresholds = lru_cache(_KEPT_ANSWERS)(of)
        self._quantiles = lru_cache(_KEPT_ANSWERS)(partial(_quantiles, self._scores))

    @property
    def _sets(self) -> Sets:
        return self.facts.sets or "lac"

    @property
    def highest_coverage(self) -> float:
        """The highest coverage that the calibration rows can support."""
        return conformal.highest_coverage(min(map(len, self._scores)))

    def uncertainty_of(self, columns: Columns) -> NDArray[np.float64]:
        """Give the uncertainty of answers by which rows are compared, shape (B,), or (B, T)."""
        uncertainty: NDArray[np.float64] = columns[MAIN[self._task]].astype(np.float64)
        return uncertainty

    def columns(self, columns: Columns) -> Columns:
        """Give what the calibration adds to every answer: ``percentile`` and, to classes, ``probabilities``.

        Returns
        -------
        Columns
            ``probabilities`` (B, C): those that the calibration rows make most likely, the mean over passes
            at another temperature. ``percentile`` (B,), or target by target (B, T): where rows stand among
            those of the calibration, from 0, more certain than all, to 100; uniform for rows that are
            exchangeable with them.
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
        """Give a lower and an upper bound of the value of each row, shape (B, 2), or (B, T, 2)."""
        reach = self._quantiles(coverage) * np.sqrt(columns["variance"])
        return np.stack([columns["mean"] - reach, columns["mean"] + reach], axis=-1)

    def prediction_set(self, columns: Columns, coverage: float) -> NDArray[np.bool_]:
        """Tell which classes are possible, shape (B, C); none, where no class conforms."""
        held: NDArray[np.bool_] = conformal.scores(columns["probabilities"], self._sets) <= self._quantiles(
            coverage
        )
        return held

    def abstain(
        self, columns: Columns, max_error: float, error_tolerance: Tolerance | None
    ) -> NDArray[np.bool_]:
        """Tell which answers to withhold so that those given are wrong at most at a rate.

        Shape (B,), or (B, T): of each target by itself.
        """
        thresholds = self._thresholds(max_error, error_tolerance)
        withheld: NDArray[np.bool_] = columns[MAIN[self._task]] > thresholds
        return withheld

    def check(
        self, coverage: float | None, max_error: float | None, error_tolerance: Tolerance | None
    ) -> None:
        """Refuse what the calibration rows can't support.

        Raises
        ------
        InputError
            Saying what they can.
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
    """Give the score up to which a truth is held, of all classes alike, or of each, or each target."""
    return np.array([conformal.quantile(each, coverage) for each in scores])


def _thresholds(
    uncertainty: NDArray[np.float64],
    errors: NDArray[np.float64],
    max_error: float,
    error_tolerance: Tolerance | None,
) -> NDArray[np.float64]:
    """Give the uncertainty up to which to answer, of each target."""
    wrong = _by_target(errors > (0 if error_tolerance is None else error_tolerance))
    by_target = _by_target(uncertainty)
    found = [selection.threshold(*of, max_error) for of in zip(by_target, wrong, strict=True)]
    if None in found:
        lowest = max(map(selection.lowest_error, by_target, wrong))
        raise InputError(
            "max_error",
            f"at least {lowest:.3g}, the lowest rate that withholding answers keeps with a confidence of "
            f"{selection.CONFIDENCE:.0%} on {len(errors)} calibration rows",
            str(max_error),
        )
    return np.array(found, np.float64)


def _by_target(values: NDArray[Any]) -> NDArray[Any]:
    """Turn (n,), or (n, T), into an array of n for each target."""
    return values.reshape(len(values), -1).T


class Percentiles:
    """Tells where values stand among some others, in two steps of NumPy.

    Examples
    --------
    >>> Percentiles(np.array([3.0, 5.0, 5.0])).of(np.array([1, 3, 4, 5, 6]))
    array([12.5, 25. , 37.5, 62.5, 87.5])
    """

    def __init__(self, others: NDArray[np.float64]) -> None:
        values, counts = np.unique(others, return_counts=True)
        # Between these lie, by turns, one of the others' values and what is between it and the next.
        self._bounds = np.stack([values, np.nextafter(values, np.inf)], axis=-1).ravel()
        not_above = np.concatenate([[0], np.cumsum(counts)])
        twice = np.empty(2 * len(values) + 1)
        twice[0::2] = 2 * not_above
        twice[1::2] = not_above[:-1] + not_above[1:]  # as uncertain as some: in the middle of these
        self._percentiles = (twice + 1) * (50 / (len(others) + 1))

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Give the percentile of each value, from 0, below all, to 100."""
        found: NDArray[np.float64] = self._percentiles[self._bounds.searchsorted(values, "right")]
        return found


def read(manifest: Manifest, files: Mapping[str, bytes]) -> Calibration | None:
    """Read the calibration of a bundle, if it has one.

    Raises
    ------
    KeyError, ValueError
        If the file of its arrays is not there, or not sound.
    """
    if manifest.calibration is None:
        return None
    with zipfile.ZipFile(io.BytesIO(files[FILE])) as archive:
        arrays = {name: _read(archive, name, shape) for name, shape in _shapes(manifest).items()}
    if manifest.classes and not _are_classes(arrays["label"], arrays[TRUTH], classes=len(manifest.classes)):
        raise ValueError(f"the {TRUTH} and label of a classification are numbers of its classes")
    if (arrays[MAIN[manifest.task]] < 0).any():
        raise ValueError(f"{MAIN[manifest.task]} is negative")
    return Calibration(manifest, arrays)


def _shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """Tell which arrays a calibration needs, and their shapes."""
    assert manifest.calibration is not None
    rows = (manifest.calibration.rows,)
    if manifest.classes is not None:
        names = (TRUTH, "label", MAIN["classification"])
        return dict.fromkeys(names, rows) | {"mean": (*rows, len(manifest.classes))}
    return dict.fromkeys(
        (TRUTH, "mean", "variance"), (*rows, len(manifest.targets)) if manifest.targets else rows
    )


def _read(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Read an array of numbers, if it has no more of them than it should, however well packed they are."""
    size = archive.getinfo(f"{name}.npy").file_size
    if size > _HEAD + _WIDEST * math.prod(shape):
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
    """Write the arrays of calibration rows."""
    buffer = io.BytesIO()
    kept = {name: column for name, column in columns.items() if name != "passes"}
    np.savez_compressed(buffer, allow_pickle=False, **{TRUTH: truth, **kept})
    return buffer.getvalue()
