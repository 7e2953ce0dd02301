"""The schema of every answer."""

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
    version: int = Field(description="The model's version.")
    precision: Literal["bfloat16"] | None = Field(
        None, description="Precision of the matrix products; present unless it is float32."
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
    seed: int = Field(description="The seed of the passes; a request with this seed gets the same answer.")
    passes: list[int] | None = Field(
        None, description="Passes that each row got; present if the request had a tolerance."
    )


class _OneUncertainty(_UncertainAnswer):
    percentile: list[float] | None = Field(
        None,
        description="Percentile of the row's uncertainty among the calibration rows, 0 to 100; present if the"
        " model has a calibration.",
    )
    abstain: list[bool] | None = Field(
        None, description="Whether to withhold the answer; present if the request had a max_error."
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
        description="What the model does not know: predictive_entropy less expected_entropy, which is how far"
        " the passes disagree."
    )
    probabilities: list[list[float]] | None = Field(
        None,
        description="Calibrated probability of every class: the mean at the temperature that is most likely"
        " for the calibration rows; present if the model has a calibration.",
    )
    prediction_set: list[list[str]] | None = Field(
        None, description="Possible classes at the requested coverage; present if the request had a coverage."
    )


class UncertainValues(_OneUncertainty):
    """A regression's answer from many stochastic passes: one entry per row."""

    mean: list[float] = Field(description="Mean over the passes, in the target's units.")
    variance: list[float] = Field(
        description="Variance of a new observation: epistemic_variance + aleatoric_variance."
    )
    epistemic_variance: list[float] = Field(description="What the model does not know: variance over passes.")
    aleatoric_variance: list[float] = Field(description="The target's own noise around its mean.")
    standard_error: list[float] = Field(description="Monte Carlo standard error of the mean.")
    interval: list[tuple[float, float]] | None = Field(
        None,
        description="Bounds of the value at the requested coverage; present if the request had a coverage.",
    )
    quantiles: list[list[float]] | None = Field(
        None,
        description="The requested quantiles of a normal distribution with this mean and variance; present if"
        " the request had quantiles.",
    )


class UncertainTargets(_UncertainAnswer):
    """The fields of `UncertainValues` for each of several targets: (rows, targets)."""

    percentile: list[list[float]] | None = Field(
        None,
        description="Percentile of each target's variance among the calibration rows, 0 to 100; present if"
        " the model has a calibration.",
    )
    abstain: list[list[bool]] | None = Field(
        None, description="Whether to withhold each target's value; present if the request had a max_error."
    )
    mean: list[list[float]] = Field(description="Mean over the passes, in the units of each target.")
    variance: list[list[float]] = Field(
        description="Variance of a new observation: epistemic_variance + aleatoric_variance."
    )
    epistemic_variance: list[list[float]] = Field(
        description="What the model does not know: variance over passes."
    )
    aleatoric_variance: list[list[float]] = Field(description="The targets' own noise around their means.")
    standard_error: list[list[float]] = Field(description="Monte Carlo standard error of the mean.")
    interval: list[list[tuple[float, float]]] | None = Field(
        None,
        description="Bounds of each target's value at the requested coverage; present if the request had a"
        " coverage.",
    )
    quantiles: list[list[list[float]]] | None = Field(
        None,
        description="The requested quantiles of normal distributions with these means and variances; present"
        " if the request had quantiles.",
    )


class Health(BaseModel):
    """State of the service."""

    status: Literal["live", "ready"]


class Listed(BaseModel):
    """A loaded model, in short."""

    name: str
    versions: list[int] = Field(description="Loaded versions, ascending; the last is the default.")
    aliases: dict[str, int] = Field(description="Versions by the names that stand for them.")
    task: str
    description: str


class Failing(BaseModel):
    """A version, or a model's aliases, that the service can't serve as the store has it."""

    name: str
    version: int | None = Field(description="The version; null for the model's aliases.")
    reason: str


def failing(failures: Iterable[tuple[Place, Failure]]) -> list[Failing]:
    """List what the service can't serve as the store has it."""
    return [
        Failing(name=name, version=version or None, reason=why.reason)
        for (name, version), why in sorted(failures)
    ]


class Models(BaseModel):
    """The loaded models."""

    default: str | None = Field(description="The model that /predict asks.")
    models: list[Listed]
    failing: list[Failing] = Field(description="What the service can't serve as the store has it.")


class Model(BaseModel):
    """Everything about a version of a model."""

    name: str
    version: int
    versions: list[int] = Field(description="Loaded versions, ascending; the last is the default.")
    aliases: dict[str, int] = Field(description="Versions by the names that stand for them.")
    default: bool = Field(description="Whether /predict asks this model.")
    digest: str = Field(description="The sha256 of everything that the model computes and states.")
    precision: Precision = Field(description="Precision of the model's matrix products in this service.")
    task: str
    description: str
    inputs: tuple[Input, ...] = Field(description="The inputs that the model takes.")
    output: tuple[Dimension, ...] = Field(description="Shape of the network's output.")
    target: str | None = Field(description="What the model predicts.")
    targets: tuple[str, ...] | None = Field(
        description="What a regression with several targets predicts, in the order of its answers."
    )
    classes: tuple[str, ...] | None = Field(description="Names of a classification's classes.")
    sites: tuple[Site, ...] = Field(description="Where the network drops units.")
    noise_variance: float | tuple[float, ...] | None = Field(
        description="Variance of a regression's target around its mean; with several targets, one per target."
    )
    metrics: dict[str, float] = Field(description="Metrics on rows held out of training.")
    calibration: Calibration | None = Field(description="The model's calibration on held-out rows.")
    calibration_missing: str | None = Field(description="Why there is no calibration.")
    card: bool = Field(description="Whether .../card has a page on how far the model can be trusted.")
    provenance: Provenance
    example: list[Any] | dict[str, Any] | None = Field(description="The inputs of an example request.")


class Pointer(BaseModel):
    """The version that an alias is to stand for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int = Field(ge=1, description="A version that GET /models lists.")


class Aliases(BaseModel):
    """The aliases of a model, the same in every worker."""

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
    """The result of a reload, over all workers."""

    loaded: list[Version]
    dropped: list[Version]
    failing: list[Failing] = Field(description="What the service can't serve as the store has it.")
