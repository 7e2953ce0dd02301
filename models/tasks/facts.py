"""What a manifest states of a model's answers."""

from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from caveat.models.answers.conformal import Sets


class CalibrationFacts(BaseModel):
    """How the model's uncertainty was calibrated on held-out rows; a file of arrays has the rows' answers.

    Parameters
    ----------
    rows
        Number of calibration rows.
    samples, seed
        Number of passes behind each row's answer, and their seed.
    temperature
        Temperature at which a classification's mean becomes calibrated probabilities; see
        `caveat.models.answers.tempering`.
    sets, by_class
        How a classification's prediction sets are made, and whether they reach the asked coverage in every
        class by itself; see `caveat.models.answers.conformal`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: Annotated[int, Field(ge=2)]
    samples: Annotated[int, Field(ge=2)]
    seed: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    sets: Sets | None = None
    by_class: bool = False


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
