"""What a client asks of an answer beyond its numbers, and what it is told."""

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
    """What is asked for.

    Parameters
    ----------
    coverage
        Rate at which prediction sets or intervals shall hold the truth.
    quantiles
        Probabilities whose quantiles of the predictive distribution are asked for.
    max_error
        Highest rate of wrong answers among those that are not withheld.
    error_tolerance
        Error from which on a value is wrong, in the target's units; of several targets one for each.
    """

    coverage: float | None = None
    quantiles: tuple[float, ...] = ()
    max_error: float | None = None
    error_tolerance: float | tuple[float, ...] | None = None

    def check(self, predictor: Predictor) -> None:
        """Refuse what the model can't tell.

        Raises
        ------
        InputError
            Naming the field, and what the model can tell.
        """
        values = predictor.manifest.task == "regression"
        if self.quantiles and not values:
            raise InputError(
                "quantiles", "none: they are of values, and this model answers with classes", "some"
            )
        if self.error_tolerance is not None and self.max_error is None:
            raise InputError("max_error", "a rate, beside an error_tolerance", "nothing")
        if self.max_error is not None and values != (self.error_tolerance is not None):
            expected = (
                "the error from which on a value is wrong" if values else "none: a class is right or wrong"
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
        """Refuse a number for several targets, whose units differ, and numbers for one."""
        asked = self.error_tolerance
        if asked is None or (len(asked) if isinstance(asked, tuple) else None) == (targets and len(targets)):
            return
        expected = "a number" if targets is None else f"{len(targets)} numbers, for {', '.join(targets)}"
        raise InputError(
            "error_tolerance", expected, f"{len(asked)} numbers" if isinstance(asked, tuple) else "one"
        )

    def of(self, predictor: Predictor, columns: Columns) -> Columns:
        """Tell what is asked for, once it has been checked.

        Returns
        -------
        Columns
            As asked for: ``interval`` (B, 2) or ``prediction_set`` (B, C), ``quantiles`` (B, Q),
            ``abstain`` (B,); of T targets (B, T, 2), (B, T, Q) and (B, T).
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
    """Give the quantiles of normal laws, shape (..., Q).

    The passes' mixture is taken for the normal law of its mean and variance, so that no pass need be kept.

    >>> normal_quantiles(np.array([10.0]), np.array([4.0]), (0.5, 0.975)).round(2)
    array([[10.  , 13.92]])
    """
    units = np.array([NormalDist().inv_cdf(probability) for probability in probabilities])
    quantiles: NDArray[np.float64] = mean[..., None] + np.sqrt(variance)[..., None] * units
    return quantiles
