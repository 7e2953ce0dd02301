"""Decisions that a request may ask for: intervals, prediction sets, quantiles, abstention."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import InputError
from caveat.models.predictor import Predictor


@dataclass(frozen=True)
class Decisions:
    """The decisions that a request asks for; by default none.

    Parameters
    ----------
    coverage
        Rate at which prediction sets or intervals hold the truth.
    quantiles
        Probabilities at which to give quantiles of the predictive distribution.
    max_error
        Highest rate of wrong answers among the answers that are not withheld.
    error_tolerance
        Error above which a value is wrong, in the target's units; one for each of several targets.
    """

    coverage: float | None = None
    quantiles: tuple[float, ...] = ()
    max_error: float | None = None
    error_tolerance: float | tuple[float, ...] | None = None

    def check(self, predictor: Predictor) -> None:
        """Refuse decisions that the model does not support.

        Raises
        ------
        InputError
            Naming the field, and the values that the model supports.
        """
        values = predictor.manifest.task == "regression"
        if self.quantiles and not values:
            raise InputError(
                "quantiles", "none: quantiles are of values, and this model answers with classes", "some"
            )
        if self.error_tolerance is not None and self.max_error is None:
            raise InputError("max_error", "a rate, which error_tolerance goes with", "nothing")
        if self.max_error is not None and values != (self.error_tolerance is not None):
            expected = (
                "the error above which a value is wrong" if values else "none: a class is right or wrong"
            )
            raise InputError("error_tolerance", expected, "nothing" if values else str(self.error_tolerance))
        self._check_tolerances(predictor.manifest.targets)
        if self.coverage is None and self.max_error is None:
            return
        if predictor.calibration is None:
            field = "max_error" if self.coverage is None else "coverage"
            raise InputError(
                field,
                "none: this model has no calibration, see GET /models; `caveat calibrate` makes one",
                "one",
            )
        predictor.calibration.check(self.coverage, self.max_error, self.error_tolerance)

    def _check_tolerances(self, targets: tuple[str, ...] | None) -> None:
        """Refuse one number for several targets, whose units differ, and several numbers for one target."""
        asked = self.error_tolerance
        if asked is None or (len(asked) if isinstance(asked, tuple) else None) == (targets and len(targets)):
            return
        expected = "a number" if targets is None else f"{len(targets)} numbers, for {', '.join(targets)}"
        raise InputError(
            "error_tolerance", expected, f"{len(asked)} numbers" if isinstance(asked, tuple) else "one"
        )

    def of(self, predictor: Predictor, columns: Columns) -> Columns:
        """Give the columns of the decisions, which must have passed `check`.

        Returns
        -------
        Columns
            Those asked for of ``interval`` (B, 2) or ``prediction_set`` (B, C), ``quantiles`` (B, Q) and
            ``abstain`` (B,). For T targets the shapes are (B, T, 2), (B, T, Q) and (B, T).
        """
        found: dict[str, NDArray[np.generic]] = {}
        if self.quantiles:
            found["quantiles"] = normal_quantiles(columns["mean"], columns["variance"], self.quantiles)
        calibration = predictor.calibration
        if calibration is None:
            return found
        if self.coverage is not None and "label" in columns:
            found["prediction_set"] = calibration.prediction_set(columns, self.coverage)
        elif self.coverage is not None:
            found["interval"] = calibration.interval(columns, self.coverage)
        if self.max_error is not None:
            found["abstain"] = calibration.abstain(columns, self.max_error, self.error_tolerance)
        return found


NOTHING: Final = Decisions()


def normal_quantiles(
    mean: NDArray[np.float64], variance: NDArray[np.float64], probabilities: tuple[float, ...]
) -> NDArray[np.float64]:
    """Give the quantiles of normal distributions, shape (..., Q).

    The mixture of the passes is approximated by the normal distribution of the same mean and variance, so
    that no pass need be kept.

    >>> normal_quantiles(np.array([10.0]), np.array([4.0]), (0.5, 0.975)).round(2)
    array([[10.  , 13.92]])
    """
    units = np.array([NormalDist().inv_cdf(probability) for probability in probabilities])
    quantiles: NDArray[np.float64] = mean[..., None] + np.sqrt(variance)[..., None] * units
    return quantiles
