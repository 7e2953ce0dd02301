"""The shape of every answer."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from caveat.models.bundles.manifest import Calibration, Provenance, Site
from caveat.models.bundles.signature import Dimension, Input
from caveat.models.engines.engine import Precision
from caveat.service.versions.catalogue import Failure, Place


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="The model that answered.")
    version: int = Field(description="Its version.")
    precision: Literal["bfloat16"] | None = Field(
        None, description="What products were computed in; there unless it was float32."
    )


class Classes(_Answer):
    """A classifier's deterministic answer: one entry per row."""

    label: list[str] = Field(description="The most probable class.")
    probabilities: list[list[float]] = Field(description="Probability of every class, (rows, classes).")


class Values(_Answer):
    """A regression's deterministic answer: one entry per row."""

    prediction: list[float] = Field(description="The predicted value, in the target's units.")


class Targets(_Answer):
    """A deterministic answer of a regression with several targets: one entry per row."""

    prediction: list[list[float]] = Field(
        description="The predicted values, each in the units of its target, (rows, targets)."
    )


class _UncertainAnswer(_Answer):
    samples: int = Field(description="Passes that were asked for.")
    seed: int = Field(description="The seed they were made with; sent again, it gives the same answer.")
    passes: list[int] | None = Field(
        None, description="Passes that each row got; there if the request had a tolerance."
    )


class _OneUncertainty(_UncertainAnswer):
    percentile: list[float] | None = Field(
        None,
        description="Where the row's uncertainty stands among the calibration rows, from 0 to 100; there if"
        " the model has a calibration.",
    )
    abstain: list[bool] | None = Field(
        None, description="Whether to withhold the answer; there if the request had a max_error."
    )


class UncertainClasses(_OneUncertainty):
    """A classifier's answer from many stochastic passes: one entry per row, entropies in nats."""

    label: list[str] = Field(description="The class of the highest mean probability.")
    mean: list[list[float]] = Field(description="Mean probability of every class, (rows, classes).")
    variance: list[list[float]] = Field(description="Variance of each probability over the passes.")
    standard_error: list[list[float]] = Field(description="Monte Carlo standard error of each mean.")
    predictive_entropy: list[float] = Field(description="Total uncertainty: the entropy of the mean.")
    expected_entropy: list[float] = Field(
        description="What the data leave open: the mean of the passes' entropies."
    )
    mutual_information: list[float] = Field(
        description="What the model does not know: how much the passes disagree; the difference of the two."
    )
    probabilities: list[list[float]] | None = Field(
        None,
        description="Calibrated probability of every class: the mean at the temperature that calibration rows"
        " make most likely; there if the model has a calibration.",
    )
    prediction_set: list[list[str]] | None = Field(
        None, description="Classes that are possible at the coverage that was asked for."
    )


class UncertainValues(_OneUncertainty):
    """A regression's answer from many stochastic passes: one entry per row."""

    mean: list[float] = Field(description="Mean over the passes, in the target's units.")
    variance: list[float] = Field(description="Variance of a new observation: the sum of the next two.")
    epistemic_variance: list[float] = Field(description="What the model does not know: variance over passes.")
    aleatoric_variance: list[float] = Field(description="The target's own noise around its mean.")
    standard_error: list[float] = Field(description="Monte Carlo standard error of the mean.")
    interval: list[tuple[float, float]] | None = Field(
        None, description="Bounds of the value at the coverage that was asked for."
    )
    quantiles: list[list[float]] | None = Field(
        None, description="Quantiles of a normal law with this mean and variance, as they were asked for."
    )


class UncertainTargets(_UncertainAnswer):
    """What `UncertainValues` tells, of each of several targets by itself: (rows, targets)."""

    percentile: list[list[float]] | None = Field(
        None,
        description="Where the row's variance of each target stands among those of the calibration rows,"
        " from 0 to 100; there if the model has a calibration.",
    )
    abstain: list[list[bool]] | None = Field(
        None, description="Whether to withhold each target's value; there if the request had a max_error."
    )
    mean: list[list[float]] = Field(description="Mean over the passes, in the units of each target.")
    variance: list[list[float]] = Field(description="Variance of a new observation: the sum of the next two.")
    epistemic_variance: list[list[float]] = Field(
        description="What the model does not know: variance over passes."
    )
    aleatoric_variance: list[list[float]] = Field(description="The targets' own noise around their means.")
    standard_error: list[list[float]] = Field(description="Monte Carlo standard error of the mean.")
    interval: list[list[tuple[float, float]]] | None = Field(
        None, description="Bounds of each target's value at the coverage that was asked for."
    )
    quantiles: list[list[list[float]]] | None = Field(
        None, description="Quantiles of normal laws with these means and variances, as they were asked for."
    )


class Health(BaseModel):
    """How the service is."""

    status: Literal["live", "ready"]


class Listed(BaseModel):
    """A model that is loaded, in short."""

    name: str
    versions: list[int] = Field(description="Ascending; the last one is asked by default.")
    aliases: dict[str, int] = Field(description="Names that stand for one of them.")
    task: str
    description: str


class Failing(BaseModel):
    """Something in the store that is not served as it stands there."""

    name: str
    version: int | None = Field(description="None, where it is the aliases of the model.")
    reason: str


def failing(failures: Iterable[tuple[Place, Failure]]) -> list[Failing]:
    """List what is not served as it stands in the store."""
    return [
        Failing(name=name, version=version or None, reason=why.reason)
        for (name, version), why in sorted(failures)
    ]


class Models(BaseModel):
    """The models that are loaded."""

    default: str | None = Field(description="The model that /predict asks.")
    models: list[Listed]
    failing: list[Failing] = Field(description="What in the store is not served as it stands there.")


class Model(BaseModel):
    """All that is known of a version of a model."""

    name: str
    version: int
    versions: list[int] = Field(
        description="All that are loaded, ascending; the last one is asked by default."
    )
    aliases: dict[str, int] = Field(description="Names that stand for one of them.")
    default: bool = Field(description="Whether /predict asks this model.")
    digest: str = Field(description="The sha256 of all that the model computes and states.")
    precision: Precision = Field(description="What its products are computed in here.")
    task: str
    description: str
    inputs: tuple[Input, ...] = Field(description="What it takes.")
    output: tuple[Dimension, ...] = Field(description="Shape of what it computes.")
    target: str | None = Field(description="What is predicted.")
    targets: tuple[str, ...] | None = Field(
        description="What is predicted by a regression with several targets, in the order of its answers."
    )
    classes: tuple[str, ...] | None = Field(description="Names of a classification's classes.")
    sites: tuple[Site, ...] = Field(description="Where the network drops units.")
    noise_variance: float | tuple[float, ...] | None = Field(
        description="Variance of a regression's target around its mean; of several targets one for each."
    )
    metrics: dict[str, float] = Field(description="Measured on rows held out of training.")
    calibration: Calibration | None = Field(description="What held-out rows have taught about it.")
    calibration_missing: str | None = Field(description="Why there is no calibration.")
    card: bool = Field(description="Whether there is a page on how far it can be trusted, at .../card.")
    provenance: Provenance
    example: list[Any] | dict[str, Any] | None = Field(description="The inputs of a request.")


class Pointer(BaseModel):
    """The version that an alias shall stand for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int = Field(ge=1, description="One that GET /models lists.")


class Aliases(BaseModel):
    """The aliases of a model, as they are now in every worker."""

    name: str
    aliases: dict[str, int]


class Version(BaseModel):
    """A version of a model."""

    name: str
    version: int


def versions(places: Iterable[Place]) -> list[Version]:
    """List versions of models."""
    return [Version(name=name, version=version) for name, version in sorted(places)]


class Reloaded(BaseModel):
    """What has come of looking at the store, in every worker."""

    loaded: list[Version]
    dropped: list[Version]
    failing: list[Failing] = Field(description="What in the store is not served as it stands there.")
