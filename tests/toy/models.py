"""A further task, as a file of `caveat.models.tasks` would define it: counts, whose rate is predicted."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns, Moments
from caveat.models.errors import InputError
from caveat.models.tasks.calibration import Arrays, Calibration
from caveat.models.tasks.column import PASSES, Column, Form
from caveat.models.tasks.decisions import Decisions
from caveat.models.tasks.defaults import Defaults
from caveat.models.tasks.regression import ValueCalibration
from caveat.models.tasks.task import TRUTH, Task


class Counts(Task):
    """A model that answers with the rate of a Poisson distribution, shape (rows,)."""

    name = "counts"
    kinds = {"log_rate": "rate"}
    kinds_in_words = "the logarithm of a rate (rows)"
    training = Defaults(lr=2e-3, hidden={"mlp": (32,)})
    forms = (
        (
            Form("Counts", "A rate: one entry per row.", "rate", (Column("rate", "The rate."),)),
            Form(
                "UncertainCounts",
                "A rate from many stochastic passes: one entry per row.",
                "mean",
                (
                    Column("mean", "Mean rate over the passes."),
                    Column("variance", "Variance of a new count: that of the rate, and the mean rate."),
                    Column("standard_error", "Monte Carlo standard error of the mean."),
                    PASSES,
                    Column("percentile", "Percentile of the variance.", optional=True),
                    Column("quantiles", "Never there.", axes=("quantiles",), optional=True),
                    Column("interval", "Bounds of the count.", axes=("bounds",), optional=True),
                    Column("abstain", "Whether to withhold the rate.", "boolean", optional=True),
                ),
            ),
        ),
    )
    uncertainty = "variance"
    counted = ("variance", "percentile", "abstain")
    region = "interval"

    def check_graph(self, shape: Sequence[object]) -> None:
        if len(shape) > 2:
            raise ValueError("gives more than one rate")

    def predicted(self, points: NDArray[np.floating]) -> Columns:
        return {"rate": points}

    def summary(self) -> "CountSummary":
        return CountSummary()

    def calibration_shapes(self) -> Mapping[str, tuple[int, ...]]:
        assert self.facts.calibration is not None
        return dict.fromkeys((TRUTH, "mean", "variance"), (self.facts.calibration.rows,))

    def calibration(self, arrays: Arrays) -> Calibration:
        assert self.facts.calibration is not None
        return ValueCalibration(self.facts.calibration, arrays)

    def _refuse(self, decisions: Decisions) -> None:
        if decisions.max_error is not None and decisions.error_tolerance is None:
            raise InputError("error_tolerance", "the error above which a rate is wrong", "nothing")

    def notes(self, decisions: Decisions, calibration: Calibration | None) -> Mapping[str, str]:
        return {"quantiles": "a count lies between no others"} if decisions.quantiles else {}

    def described(self) -> Sequence[tuple[str, str]]:
        return [("counts", self.facts.target or "events")]


class CountSummary:
    """Statistics of passes of rates, shape (n, B)."""

    def __init__(self) -> None:
        self._rates = Moments()

    def add(self, passes: NDArray[np.floating]) -> None:
        self._rates.add(passes)

    def standard_error(self) -> NDArray[np.float64]:
        return self._rates.standard_error

    def keep(self, rows: NDArray[np.bool_]) -> None:
        self._rates.keep(rows)

    def columns(self) -> Columns:
        mean = self._rates.mean
        return {
            "mean": mean,
            "variance": self._rates.variance + mean,
            "standard_error": self._rates.standard_error,
        }
