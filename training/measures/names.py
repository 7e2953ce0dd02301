"""The names of an evaluation: its methods, its columns, and the coverages at which it asks."""

from typing import Final

from caveat.models.answers.uncertainty import Columns

PASSES: Final = "Monte Carlo"
CALIBRATED: Final = "Monte Carlo, calibrated"
WITHOUT: Final = "without dropout"
WITHOUT_CALIBRATED: Final = "without dropout, calibrated"

ONCE, ONCE_CALIBRATED = "once", "once_calibrated"
"""Columns of the answer without dropout, and of its calibrated uncertainty, which is fitted on other rows:
probabilities at a temperature, or the variance of residuals."""

COVERAGES: Final = (0.8, 0.9, 0.95, 0.99)

GROUPED_AT: Final = 0.9
"""The coverage at which groups of rows are compared."""


def held_name(coverage: float) -> str:
    """Name the column of prediction sets or intervals at a coverage."""
    return f"held_{coverage:g}"


def coverages(answer: Columns) -> list[float]:
    """List the coverages at which answers have prediction sets or intervals."""
    return [coverage for coverage in COVERAGES if held_name(coverage) in answer]
