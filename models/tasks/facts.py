"""What a manifest states of a model's answers."""

from typing import Annotated, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from caveat.models.answers.conformal import Sets

Ratio = Annotated[float, Field(ge=0, le=1.03)]
Variance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ErrorRatios(BaseModel):
    """How exact the mean of stratified passes is, measured on calibration rows.

    The units of a pass are not dropped independently of the other passes, so that the error of the mean is
    smaller than that of independent passes. How much smaller depends on the variance: where only few passes
    differ, as in a row that is nearly certain, it is hardly smaller.

    Parameters
    ----------
    greatest
        The greatest variance of an output over passes; of each target, if there are several.
    ratios
        Upper bounds of the error of the mean over a block of passes, in units of that of independent ones,
        of the average output of like variance: above half the greatest, above a quarter of it, and so on. For
        a smaller variance than the last it is 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    greatest: Variance | tuple[Variance, ...]
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if list(self.ratios) != sorted(self.ratios):
            raise ValueError("error_ratios: a ratio is below that of a greater variance")
        return self


Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class CalibrationFacts(BaseModel):
    """How the model's uncertainty was calibrated on held-out rows; a file of arrays has the rows' answers.

    Parameters
    ----------
    rows
        Number of calibration rows.
    samples, seed
        Number of passes behind each row's answer, and their seed.
    temperature, deterministic_temperature
        Temperatures at which a classification's mean over passes, and its answer without dropout, become
        calibrated probabilities; see `caveat.models.answers.tempering`.
    sets, by_class
        How a classification's prediction sets are made, and whether they reach the asked coverage in every
        class by itself; see `caveat.models.answers.conformal`.
    error_ratios
        How exact the mean of stratified passes is; None takes it to be as exact as that of independent ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: Annotated[int, Field(ge=2)]
    samples: Annotated[int, Field(ge=2)]
    seed: Annotated[int, Field(ge=0)]
    temperature: Temperature | None = None
    deterministic_temperature: Temperature | None = None
    sets: Sets | None = None
    by_class: bool = False
    error_ratios: ErrorRatios | None = None

    @property
    def randomised(self) -> bool:
        """Whether prediction sets take a random number for each row; see `caveat.models.answers.chance`."""
        return self.sets in ("aps", "raps")


class Facts(Protocol):
    """The fields of `caveat.models.bundles.manifest.Manifest` that tasks read."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def output(self) -> tuple[int | str, ...]:
        """Shape of the graph's output, rows first."""

    @property
    def outputs(self) -> str:
        """Kind of the graph's outputs; see `caveat.models.tasks.task.Task.kinds`."""

    @property
    def target(self) -> str | None:
        """Name of the only target."""

    @property
    def targets(self) -> tuple[str, ...] | None:
        """Names of several targets."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes."""

    @property
    def noise_variance(self) -> float | tuple[float, ...] | None:
        """Variance of a target around its mean, unless the graph predicts it."""

    @property
    def calibration(self) -> CalibrationFacts | None:
        """The calibration, if there is one."""
