"""Regression: one value of a row, or the values of several targets."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns, Moments, Total, blocks
from caveat.models.errors import InputError
from caveat.models.tasks.calibration import Arrays, Calibration, by_target
from caveat.models.tasks.column import PASSES, Axis, Column, Form
from caveat.models.tasks.decisions import Decisions
from caveat.models.tasks.defaults import Defaults
from caveat.models.tasks.facts import CalibrationFacts
from caveat.models.tasks.task import TRUTH, Task


def _forms(name: str, whose: str, axes: tuple[Axis, ...]) -> tuple[Form, Form]:
    """Make the forms of answers to one target, or of each target for several."""
    target = "each target" if axes else "the target"
    shape = "; (rows, targets)" if axes else ""
    return (
        Form(
            name,
            f"A deterministic answer of {whose}: one entry per row.",
            "mean",
            (Column("mean", f"The predicted value, in the units of {target}{shape}.", axes=axes),),
        ),
        Form(
            f"Uncertain{name}",
            f"An answer of {whose} from many stochastic passes: one entry per row.",
            "mean",
            (
                Column("mean", f"Mean over the passes, in the units of {target}{shape}.", axes=axes),
                Column(
                    "variance",
                    "Variance of a new observation: epistemic_variance + aleatoric_variance.",
                    axes=axes,
                ),
                Column(
                    "epistemic_variance",
                    "What the model does not know: variance over passes.",
                    axes=axes,
                ),
                Column("aleatoric_variance", f"The noise of {target} around its mean.", axes=axes),
                Column("standard_error", "Monte Carlo standard error of the mean.", axes=axes),
                PASSES,
                Column(
                    "percentile",
                    f"Percentile of the variance of {target} among the calibration rows, 0 to 100; present if"
                    " the model has a calibration whose passes were made as these.",
                    axes=axes,
                    optional=True,
                ),
                Column(
                    "quantiles",
                    "The requested quantiles of a normal distribution with this mean and variance; present if"
                    " the request had quantiles.",
                    axes=(*axes, "quantiles"),
                    optional=True,
                ),
                Column(
                    "interval",
                    f"Bounds of the value of {target} at the requested coverage; present if the request had a"
                    " coverage.",
                    axes=(*axes, "bounds"),
                    optional=True,
                ),
                Column(
                    "abstain",
                    f"Whether to withhold the value of {target}; present if the request had a max_error.",
                    "boolean",
                    axes,
                    optional=True,
                ),
            ),
        ),
    )


_VALUES = _forms("Values", "a regression", ())
_TARGETS = _forms("Targets", "a regression with several targets", ("targets",))


class Regression(Task):
    """A model that answers with values in their own units, of one target or of several.

    ``noise_variance`` is the variance of a target around its mean; a graph with the outputs
    ``mean_variance`` predicts it for each row instead, on a last axis of 2.
    """

    name = "regression"
    kinds = {"mean": "mean", "mean_log_variance": "mean_variance"}
    kinds_in_words = (
        "a mean (rows), or a mean and the logarithm of a variance (rows, 2); of several targets"
        " (rows, targets) or (rows, targets, 2)"
    )
    training = Defaults(lr=5e-3, patience=None, validation=0.2, hidden={"mlp": (128, 128)}, dropout=0.1)
    forms = (_VALUES, _TARGETS)
    uncertainty = "variance"
    counted = ("variance", "percentile", "abstain")
    region = "interval"

    @property
    def _form(self) -> tuple[Form, Form]:
        return _VALUES if self.facts.targets is None else _TARGETS

    @property
    def own_units(self) -> bool:
        """Whether there are several targets."""
        return self.facts.targets is not None

    @property
    def _predicts_noise(self) -> bool:
        return self.facts.outputs == "mean_variance"

    @property
    def _targets(self) -> tuple[int, ...]:
        """(T,) for T targets, and () for one."""
        return () if self.facts.targets is None else (len(self.facts.targets),)

    def check(self) -> None:
        """See `Task.check`."""
        super().check()
        facts = self.facts
        if (facts.noise_variance is None) != self._predicts_noise:
            raise ValueError(
                "a regression has a noise_variance if its outputs are mean, none if they are mean_variance"
            )
        if facts.output[1:] != (*self._targets, *([2] if self._predicts_noise else [])):
            raise ValueError(f"a regression with several targets names each; outputs are {facts.output}")
        if facts.targets is not None and facts.target is not None:
            raise ValueError("a regression has either target or targets, not both")
        if facts.noise_variance is not None and np.shape(facts.noise_variance) != self._targets:
            raise ValueError("a regression has one noise_variance for each of its targets")
        if facts.calibration and facts.calibration.sets is not None:
            raise ValueError("the calibration of a regression has no sets")

    def check_graph(self, shape: Sequence[object]) -> None:
        """See `Task.check_graph`."""
        own = shape[:-1] if self._predicts_noise else shape
        named = self.facts.targets
        if named is not None and own and isinstance(own[-1], int) and own[-1] != len(named):
            raise ValueError(f"gives {own[-1]} targets, the manifest names {len(named)}")

    def point(self, outputs: NDArray[np.floating]) -> NDArray[np.floating]:
        """Take the means."""
        return np.ascontiguousarray(outputs[..., 0]) if self._predicts_noise else outputs

    def predicted(self, points: NDArray[np.floating]) -> Columns:
        """Give ``mean`` (B,), or (B, T)."""
        return {"mean": points}

    def summary(self) -> "RegressionSummary":
        """See `Task.summary`."""
        return RegressionSummary(self.facts.noise_variance)

    def calibration_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `Task.calibration_shapes`."""
        assert self.facts.calibration is not None
        shape = (self.facts.calibration.rows, *self._targets)
        return dict.fromkeys((TRUTH, "mean", "variance"), shape)

    def calibration(self, arrays: Arrays) -> Calibration:
        """See `Task.calibration`."""
        assert self.facts.calibration is not None
        return ValueCalibration(self.facts.calibration, arrays)

    def _refuse(self, decisions: Decisions) -> None:
        asked, targets = decisions.error_tolerance, self.facts.targets
        if decisions.max_error is not None and asked is None:
            raise InputError("error_tolerance", "the error above which a value is wrong", "nothing")
        if asked is None or np.shape(asked) == self._targets:
            return
        expected = "a number" if targets is None else f"{len(targets)} numbers, for {', '.join(targets)}"
        got = f"{len(asked)} numbers" if isinstance(asked, tuple) else "one"
        raise InputError("error_tolerance", expected, got)

    def decide(self, decisions: Decisions, columns: Columns, calibration: Calibration | None) -> Columns:
        """Give ``quantiles`` (B, Q) too, or (B, T, Q), where asked for."""
        found = super().decide(decisions, columns, calibration)
        if not decisions.quantiles:
            return found
        quantiles = normal_quantiles(columns["mean"], columns["variance"], decisions.quantiles)
        return {"quantiles": quantiles, **found}

    def described(self) -> Sequence[tuple[str, str]]:
        """See `Task.described`."""
        facts = self.facts
        rows = [] if facts.target is None else [("target", facts.target)]
        if facts.targets is not None:
            rows.append(("targets", ", ".join(facts.targets)))
        if facts.noise_variance is not None:
            noises = ", ".join(f"{noise:.6g}" for noise in np.ravel(facts.noise_variance))
            rows.append(("noise variance", noises))
        return rows


class RegressionSummary:
    """Statistics of passes of predicted values, shape (n, B), or of values and noise variances, (n, B, 2).

    For T targets the shapes are (n, B, T) and (n, B, T, 2), and the statistics of each target are its own.

    The variance of a new observation is the sum of the network's epistemic variance and of the target's
    own noise, its aleatoric variance (law of total variance; Kendall & Gal, "What uncertainties do we need
    in Bayesian deep learning for computer vision?", 2017, eq. 9).

    Parameters
    ----------
    noise_variance
        The target's own variance around its mean, in its units squared, one for each of several targets;
        None if the network predicts it.
    """

    def __init__(self, noise_variance: float | tuple[float, ...] | None) -> None:
        self._values = Moments()
        self._noise = Total()
        self._noise_variance = noise_variance

    def add(self, passes: NDArray[np.floating]) -> None:
        """Add the next chunk of passes."""
        for block in blocks(passes):
            if self._noise_variance is None:
                self._noise.add(block[..., 1].astype(np.float64))
                block = np.ascontiguousarray(block[..., 0])
            self._values.add(block)

    def standard_error(self) -> NDArray[np.float64]:
        """Give the standard error of each row's mean, in the target's units; (B,), or (B, T)."""
        return self._values.standard_error

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all rows but these."""
        self._values.keep(rows)
        if self._noise_variance is None:
            self._noise.keep(rows)

    def columns(self) -> Columns:
        """Give ``mean`` and ``standard_error`` in the target's units, and variances in these units squared.

        All have shape (B,), or (B, T) for T targets.
        """
        epistemic = self._values.variance
        if self._noise_variance is None:
            aleatoric = self._noise.value / self._values.count
        else:
            aleatoric = np.full_like(epistemic, self._noise_variance)
        return {
            "mean": self._values.mean,
            "variance": epistemic + aleatoric,
            "epistemic_variance": epistemic,
            "aleatoric_variance": aleatoric,
            "standard_error": self._values.standard_error,
        }


class ValueCalibration(Calibration):
    """Intervals around the mean, in proportion to the standard deviation of a new observation."""

    def __init__(self, facts: CalibrationFacts, arrays: Arrays) -> None:
        errors = np.abs(arrays[TRUTH] - arrays["mean"])
        with np.errstate(divide="ignore", over="ignore"):
            deviations = np.sqrt(arrays["variance"])
            scores = np.divide(errors, deviations, out=np.zeros_like(errors), where=errors != 0)
        unbounded = ~np.isfinite(scores)
        if unbounded.any():
            row = int(np.argmax(by_target(unbounded).any(axis=0)))
            error, variance = (values[unbounded][0] for values in (errors, arrays["variance"]))
            raise ValueError(
                f"row {row} is wrong by {error:.3g} and has a variance of {variance:.3g}, so that no "
                "multiple of its standard deviation reaches the truth"
            )
        super().__init__(facts, Regression.uncertainty, arrays["variance"], errors, list(by_target(scores)))

    def region(self, columns: Columns, coverage: float) -> NDArray[Any]:
        """Give the lower and upper bound of each row's interval, shape (B, 2), or (B, T, 2)."""
        reach = self.quantiles(coverage) * np.sqrt(columns["variance"])
        return np.stack([columns["mean"] - reach, columns["mean"] + reach], axis=-1)


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
