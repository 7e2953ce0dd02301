"""Decisions that a request may ask for: intervals, prediction sets, quantiles, abstention."""

from dataclasses import dataclass
from typing import Final

Tolerance = float | tuple[float, ...]
"""The error above which a value is wrong, in the target's units; one for each of several targets."""


@dataclass(frozen=True)
class Decisions:
    """The decisions that a request asks for; by default none. Each task makes its own.

    Parameters
    ----------
    coverage
        Rate at which prediction sets or intervals hold the truth.
    quantiles
        Probabilities at which to give quantiles of the predictive distribution.
    max_error
        Highest rate of wrong answers among the answers that are not withheld.
    error_tolerance
        See `Tolerance`.
    """

    coverage: float | None = None
    quantiles: tuple[float, ...] = ()
    max_error: float | None = None
    error_tolerance: Tolerance | None = None


NOTHING: Final = Decisions()
