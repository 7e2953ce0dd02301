"""What the service says of its models."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, Field

from caveat.models.bundles.manifest import Provenance, Site
from caveat.models.bundles.signature import Dimension, Input
from caveat.models.engines.engine import Precision
from caveat.models.predictor import Predictor
from caveat.models.tasks.facts import CalibrationFacts
from caveat.service.desk.versions.catalogue import Catalogue, Failure, Place

_NO_CALIBRATION: Final = (
    "exported without calibration rows; `caveat calibrate` makes a version with a calibration"
)


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

    default: str | None = Field(description="The model for requests that name none.")
    models: list[Listed]
    failing: list[Failing] = Field(description="What the service can't serve as the store has it.")


class Model(BaseModel):
    """Everything about a version of a model."""

    name: str
    version: int
    versions: list[int] = Field(description="Loaded versions, ascending; the last is the default.")
    aliases: dict[str, int] = Field(description="Versions by the names that stand for them.")
    default: bool = Field(description="Whether requests that name no model ask this one.")
    digest: str = Field(description="The sha256 of all that the model computes and states but its example.")
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
    calibration: CalibrationFacts | None = Field(description="The model's calibration on held-out rows.")
    calibration_missing: str | None = Field(description="Why there is no calibration.")
    card: bool = Field(description="Whether there is a card: a page on how far the model can be trusted.")
    provenance: Provenance
    example: list[Any] | dict[str, Any] | None = Field(description="The inputs of an example request.")


def list_models(catalogue: Catalogue) -> Models:
    """List the loaded models."""
    manifests = [catalogue.find(name).manifest for name in catalogue.models]
    return Models(
        default=catalogue.default,
        models=[
            Listed(
                name=manifest.name,
                versions=list(catalogue.versions(manifest.name)),
                aliases=catalogue.aliases_of(manifest.name),
                task=manifest.task,
                description=manifest.description,
            )
            for manifest in manifests
        ],
        failing=failing(catalogue.failing.items()),
    )


def describe(predictor: Predictor, catalogue: Catalogue) -> Model:
    """Describe a version of a model."""
    manifest = predictor.manifest
    return Model.model_validate(
        {
            **dict(manifest),
            "versions": catalogue.versions(manifest.name),
            "aliases": catalogue.aliases_of(manifest.name),
            "default": manifest.name == catalogue.default,
            "digest": manifest.digest,
            "precision": predictor.precision,
            "card": predictor.card is not None,
            "calibration_missing": None if manifest.calibration else _NO_CALIBRATION,
        }
    )
