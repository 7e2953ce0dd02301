"""The manifest of a bundle: everything about a model except its weights."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from caveat.models.bundles import dimension
from caveat.models.bundles.features import Label
from caveat.models.bundles.signature import ROWS, Dimension, Input
from caveat.models.tasks import tasks
from caveat.models.tasks.facts import CalibrationFacts, Variance

SCHEMA_VERSION: Final = 4

NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"

Name = Annotated[str, Field(pattern=NAME)]
"""A model's name, limited to characters that are safe in a folder's name and in a URL."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

PASSES = "passes"
"""The symbolic dimension that every mask starts with."""

EXAMPLE: Final = "example.npz"
"""The file of an example whose rows are too long for the manifest."""

LARGEST: Final = 2**28
"""Most float32 values (1 GiB) in one row, in the draws of one pass, or held by the network for either."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Size = Annotated[int, Field(ge=0)] | str
"""A number, or arithmetic on the sizes that a request chooses (see `caveat.models.bundles.dimension`)."""

Law = Literal["keep", "bernoulli", "uniform", "normal"]


class Site(_Part):
    """One place where the network draws at random, and the input of ``passes.onnx`` that takes the draws.

    Parameters
    ----------
    name, kind
        The module that draws, and the operator that it draws with.
    law
        Distribution of a draw. ``keep``: 0 for a dropped unit, 1 for a kept one, which the graph scales.
        ``bernoulli``: the same, without a scale. ``uniform``: uniform on [0, 1). ``normal``: normal with
        mean 0 and variance 1.
    rate
        Probability of 0, for the laws ``keep`` and ``bernoulli`` alone.
    shape
        Shape of the draws: passes first, and 1 on the axis of the network's rows.
    trained
        Whether the network was trained with this site at this rate, as far as its own code tells.
    """

    name: Label
    kind: Label
    law: Law = "keep"
    rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    shape: Annotated[tuple[Size, ...], Field(min_length=1)]
    trained: bool = True

    @model_validator(mode="after")
    def _has_rate(self) -> Self:
        if (self.rate is None) == (self.law in ("keep", "bernoulli")):
            raise ValueError(f"site {self.name}: the laws keep and bernoulli have a rate, others have none")
        return self

    @property
    def dtype(self) -> Literal["uint8", "float32"]:
        """The type of the draws in the graph."""
        return "uint8" if self.law == "keep" else "float32"

    def shape_at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Give the shape of the draws of a pass, at the sizes that a request chose."""
        return tuple(dimension.evaluate(size, sizes) for size in self.shape[1:])


class Cost(_Part):
    """Memory that a run of the graphs takes, in float32 values held at once.

    Parameters
    ----------
    row
        Values held for each row, however many passes there are.
    row_pass
        Values held for each row in each pass.
    mask
        Values held for each pass: its draws.
    """

    row: Size
    row_pass: Size
    mask: Size


class Provenance(_Part):
    """Where a model comes from."""

    seed: int | None = None
    hyperparameters: dict[str, Any] = {}
    data: dict[str, Any] = {}
    libraries: dict[str, str] = {}


class File(_Part):
    """A file beside the manifest."""

    sha256: Digest
    bytes: Annotated[int, Field(ge=0)]


class Manifest(_Part):
    """Everything known about a model: its inputs, its answers, and how it was made.

    ``task`` names a task of `caveat.models.tasks`, which alone reads ``outputs``, ``classes``, ``target``,
    ``targets`` and ``noise_variance``. ``classes`` names the classes of a classification, in the order of
    its outputs. ``targets`` names the targets of a regression that has several: ``output`` is then
    (rows, targets), and (rows) for a single target. ``noise_variance`` is the variance of a regression's
    target around its mean, in the target's units squared, one number for each target. A network with the
    outputs ``mean_variance`` predicts this variance for each row instead; its output has a last axis of 2.
    ``least_rows`` is the least number of rows in a run from which on a row's bits do not depend on the
    number of rows: in some operators, ONNX Runtime multiplies a lone row with another kernel. ``example``
    is the ``inputs`` of a request, as a client writes them.
    """

    schema_version: Literal[4] = SCHEMA_VERSION
    name: Name
    version: Annotated[int, Field(ge=1, lt=10**18)]
    task: str
    description: str = ""
    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    output: Annotated[tuple[Dimension, ...], Field(min_length=1)]
    outputs: str
    target: Label | None = None
    targets: Annotated[tuple[Label, ...], Field(min_length=2)] | None = None
    classes: tuple[Label, ...] | None = None
    sites: Annotated[tuple[Site, ...], Field(min_length=1)]
    cost: Cost
    least_rows: Annotated[int, Field(ge=1)] = 1
    noise_variance: Variance | tuple[Variance, ...] | None = None
    provenance: Provenance = Provenance()
    metrics: dict[Label, Annotated[float, Field(allow_inf_nan=False)]] = {}
    calibration: CalibrationFacts | None = None
    example: list[Any] | dict[str, Any] | None = None
    files: dict[str, File] = {}

    @model_validator(mode="after")
    def _answers_as_its_task(self) -> Self:
        tasks.of(self).check()
        return self

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        features = [spec.features or () for spec in self.inputs]
        for what, each in (
            ("inputs and sites", [*(spec.name for spec in self.inputs), *(site.name for site in self.sites)]),
            *(("features", [feature.name for feature in group]) for group in features),
            *(("categories", feature.categories or ()) for group in features for feature in group),
            ("classes", self.classes or ()),
            ("targets", self.targets or ()),
        ):
            if len(set(each)) < len(each):
                twice = next(name for name, count in Counter(each).items() if count > 1)
                raise ValueError(f"two {what} are called {twice!r}")
        return self

    @model_validator(mode="after")
    def _fits_memory(self) -> Self:
        for what, first, shape in (
            *((f"input {spec.name}", ROWS, spec.shape) for spec in self.inputs),
            *((f"site {site.name}", PASSES, site.shape) for site in self.sites),
            ("output", ROWS, self.output),
        ):
            if shape[0] != first:
                raise ValueError(f"{what}: expected {first} as the first axis, got {shape[0]}")
            _check_size(what, shape[1:], self.free_sizes)
        if any(isinstance(size, str) for size in self.output[1:]):
            raise ValueError("output: every axis but the rows needs a fixed size")
        for what, size in self.cost:
            _check_size(f"cost: {what}", (size,), self.free_sizes)
        return self

    @property
    def free_sizes(self) -> set[str]:
        """Names of the sizes that a request chooses, apart from the number of rows."""
        return {size for spec in self.inputs for size in spec.shape[1:] if isinstance(size, str)}

    @property
    def digest(self) -> str:
        """The sha256 of the manifest, which lists all files, without name, version and example."""
        without: Any = {"name": True, "version": True, "example": True, "files": {EXAMPLE}}
        content = self.model_dump(mode="json", exclude=without, exclude_none=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def identity(self) -> str:
        """The sha256 of the whole manifest."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _check_size(what: str, sizes: Sequence[int | str], free: Collection[str]) -> None:
    for size in sizes:
        try:
            dimension.check(size, free)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
    values = math.prod(dimension.evaluate(size, {}) for size in sizes if not dimension.names(size))
    if not 0 <= values <= LARGEST:
        raise ValueError(f"{what}: has {_words(values)} values; expected 0 to {LARGEST:,}")


def _words(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**30 else "more than 10**30"
