"""A small model for each kind of answer and of input, in closed form, without and with a calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle, pack
from caveat.models.bundles.features import ISO, OTHER, Feature
from caveat.models.bundles.manifest import Cost, Manifest, Site
from caveat.models.bundles.signature import Input, Inputs
from caveat.models.estimates.answer import estimate
from caveat.models.estimates.cohort import FIRST_LOOK
from caveat.models.predictor import Predictor
from caveat.models.tasks.facts import ErrorRatios
from tests.bundles import TEMPERATURE, calibrated_on

CALIBRATION_ROWS = 399

_TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}

_LENGTH = 3
"""Size of the rows where a model leaves it open."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model of the table.

    Parameters
    ----------
    bundle
        The model.
    rows
        Three of the calibration rows, as a client writes them in JSON: one of middling uncertainty, the
        least certain, and the most certain. Of features that may lack values or be of unknown categories,
        the first and the last row have both.
    max_error
        About the rate of wrong answers among all calibration rows, so that some must be withheld to keep it.
    error
        The error above which a regression's answer is wrong, one for each of several targets: their median.
    """

    bundle: Bundle
    rows: Any
    max_error: float
    error: float | list[float]

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def calibrated(self) -> bool:
        return self.manifest.calibration is not None

    @property
    def classifies(self) -> bool:
        return self.manifest.task == "classification"

    @property
    def targets(self) -> int | None:
        """Number of the targets of a regression that has several."""
        return None if self.manifest.targets is None else len(self.manifest.targets)

    @property
    def takes_an_array(self) -> bool:
        """Whether a request may send the rows as one array."""
        spec, *others = self.manifest.inputs
        return not others and spec.features is None

    @cached_property
    def predictor(self) -> Predictor:
        return Predictor(self.bundle, threads=1)

    @cached_property
    def tolerance(self) -> float:
        """A standard error that some of the rows have after the first look, and others have not."""
        errors = estimate(self.predictor, self.predictor.encode(self.rows), FIRST_LOOK)["standard_error"]
        return float(errors.reshape(len(errors), -1).max(axis=1).mean())

    def first(self, rows: int) -> Any:
        """Take the first rows."""
        if isinstance(self.rows, dict):
            return {name: of[:rows] for name, of in self.rows.items()}
        return self.rows[:rows]

    def __str__(self) -> str:
        return f"{self.manifest.name}, {'' if self.calibrated else 'not '}calibrated"


def _numbers(name: str = "x", *shape: int | str, dtype: Any = "float32", **fields: Any) -> Input:
    return Input(name=name, dtype=dtype, shape=("rows", *(shape or (3,))), **fields)


_PATIENT = (
    Feature(name="age"),
    Feature(name="smoker", categories=("no", "yes", "never asked")),
    Feature(name="dose"),
)

_RECORD = (
    Feature(name="age", missing=True),
    Feature(name="smoker", categories=("no", "yes"), missing=True, other=True),
    Feature(name="since", dates=ISO, missing=True),
    Feature(name="paid", dates="%d/%m/%Y"),
)
"""Features whose values may be missing, of a category that training did not see, or dates."""

_UNKNOWN = 'I don\'t say, "[never]" {}'
_DAYS = 10_000.0


def _twice(name: str, *inputs: Input, facts: dict[str, Any] | None = None, **fields: Any) -> list[Model]:
    """Make a model of the table without and with a calibration, of which the manifest states ``facts``."""
    bare = _bundle(name, inputs, **fields)
    predictor = Predictor(bare, threads=1)
    rows = _random(inputs, CALIBRATION_ROWS)
    known = estimate(predictor, rows)
    truth, max_error, error = _truths(known)
    order = np.argsort(known[predictor.task.uncertainty].reshape(CALIBRATION_ROWS, -1)[:, 0])
    odd = order[_has_all_gaps(inputs, rows)[order]]
    chosen = [odd[len(odd) // 2], order[-1], odd[0]]
    told = _told(inputs, {name: array[chosen] for name, array in rows.items()})
    bundles = [bare, calibrated_on(bare, rows, truth, **(facts or {}))]
    return [Model(bundle, told, max_error, error) for bundle in bundles]


def _truths(known: Columns) -> tuple[NDArray[Any], float, float | list[float]]:
    """Draw truths from the answers to calibration rows; see `Model` for the two errors."""
    random = np.random.default_rng(2)
    mean = known["mean"]
    if "label" in known:
        truth = (mean.cumsum(axis=1)[:, :-1] < random.random((len(mean), 1))).sum(axis=1)
        return truth, float((known["label"] != truth).mean()), 0.0
    errors = np.sqrt(known["variance"]) * random.normal(0, 1, mean.shape)
    return mean + errors, 0.5, np.median(np.abs(errors), axis=0).tolist()


def _bundle(name: str, inputs: Sequence[Input], double: bool = False, **fields: Any) -> Bundle:
    """Make ``answer((x * mask) @ weights + bias)``, where x are all numbers of a row.

    The answer is a softmax if the model names classes, else as many values as it has targets. With the
    outputs ``mean_variance``, a second product gives the logarithms of the variances. ``double`` gives the
    answer in float64.
    """
    regression = "classes" not in fields
    outputs = fields.pop("outputs", "mean") if regression else "probabilities"
    several = fields.get("classes") or fields.get("targets") or ()
    values = len(several) or 1
    pair = [2] if outputs == "mean_variance" else []
    numbers = sum(_size(spec) for spec in inputs)
    manifest = Manifest(
        name=name,
        version=1,
        task="regression" if regression else "classification",
        inputs=tuple(inputs),
        output=("rows", *([values] if several else []), *pair),
        outputs=outputs,
        sites=(Site(name="drop", kind="dropout", rate=0.25, shape=("passes", 1, numbers)),),
        cost=Cost(row=_LENGTH * numbers, row_pass=3 * numbers + 4 * values, mask=numbers),
        **fields,
    )
    random = np.random.default_rng(numbers * values)
    scale = np.geomspace(1, 100, values) if regression else np.ones(values)
    constants: dict[str, np.ndarray] = {
        "weights": (random.normal(0, 2, (numbers, values)) * scale).astype(np.float32),
        "bias": (random.normal(0, 1, values) * scale).astype(np.float32),
    }
    if pair:
        constants["noise_weights"] = random.normal(0, 0.5, (numbers, values)).astype(np.float32)
        constants["noise_bias"] = (2 * np.log(scale)).astype(np.float32)
    graphs = {
        PREDICT: _graph(manifest, constants, double, None),
        PASSES: _graph(manifest, constants, double, manifest.sites[0]),
    }
    return pack(manifest, graphs)


def _size(spec: Input) -> int:
    """Count the numbers that a row comes down to."""
    return math.prod(size for size in spec.shape[1:] if isinstance(size, int))


def _graph(manifest: Manifest, constants: dict[str, np.ndarray], double: bool, site: Site | None) -> bytes:
    nodes = [node for spec in manifest.inputs for node in _flat(spec)]
    nodes.append(
        helper.make_node("Concat", [f"{spec.name} flat" for spec in manifest.inputs], ["numbers"], axis=-1)
    )
    kept = "numbers"
    if site is not None:
        nodes += [
            helper.make_node("Cast", [site.name], ["zeros and ones"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["zeros and ones", "scale"], ["scaled"]),
            helper.make_node("Mul", ["numbers", "scaled"], ["kept"]),
        ]
        constants = constants | {"scale": np.array(1 / (1 - (site.rate or 0)), np.float32)}
        kept = "kept"
    nodes += _affine(kept, "weights", "bias", "values")
    nodes += _answer(kept, manifest)
    nodes.append(
        helper.make_node("Cast", ["answer"], ["y"], to=TensorProto.DOUBLE if double else TensorProto.FLOAT)
    )
    known = {"mean over": [1], "last": [-1], "one before": [-2]}
    constants = constants | {name: np.array(value, np.int64) for name, value in known.items()}
    used = {name for node in nodes for name in node.input}
    shapes = {spec.name: (_TYPES[spec.dtype], list(spec.shape)) for spec in manifest.inputs}
    if site is not None:
        shapes[site.name] = (TensorProto.UINT8, list(site.shape))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(name, *of) for name, of in shapes.items()],
        [
            helper.make_tensor_value_info(
                "y",
                TensorProto.DOUBLE if double else TensorProto.FLOAT,
                [*([] if site is None else ["passes"]), *manifest.output],
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _flat(spec: Input) -> list[NodeProto]:
    """Turn an input into float32 numbers of shape (rows, n): the mean over a free size, and all others.

    A missing value becomes 0.5, a date its tens of thousands of days.
    """
    given, mean, flat = f"{spec.name} given", f"{spec.name} mean", f"{spec.name} flat"
    free = any(isinstance(size, str) for size in spec.shape[1:])
    return [
        *_known(spec, given),
        helper.make_node("ReduceMean", [given, "mean over"], [mean], keepdims=0)
        if free
        else helper.make_node("Identity", [given], [mean]),
        helper.make_node("Flatten", [mean], [flat], axis=1),
    ]


def _known(spec: Input, given: str) -> list[NodeProto]:
    cast = [spec.name], [given]
    if spec.features is None or not any(feature.missing or feature.dates for feature in spec.features):
        return [helper.make_node("Cast", *cast, to=TensorProto.FLOAT)]
    raw, lacking, scaled, half, scale = (
        f"{spec.name} {what}" for what in ("raw", "lacks", "mul", "0.5", "by")
    )
    scales = np.array([1 / _DAYS if feature.dates else 1 for feature in spec.features], np.float32)
    return [
        helper.make_node("Constant", [], [half], value=numpy_helper.from_array(np.array(0.5, np.float32))),
        helper.make_node("Constant", [], [scale], value=numpy_helper.from_array(scales)),
        helper.make_node("Cast", [spec.name], [raw], to=TensorProto.FLOAT),
        helper.make_node("IsNaN", [raw], [lacking]),
        helper.make_node("Mul", [raw, scale], [scaled]),
        helper.make_node("Where", [lacking, half, scaled], [given]),
    ]


def _affine(x: str, weights: str, bias: str, out: str) -> list[NodeProto]:
    return [
        helper.make_node("MatMul", [x, weights], [f"{out} product"]),
        helper.make_node("Add", [f"{out} product", bias], [out]),
    ]


def _answer(kept: str, manifest: Manifest) -> list[NodeProto]:
    """Turn the values of a row, (..., n), into the answer that the manifest states."""
    if manifest.classes is not None:
        return [helper.make_node("Softmax", ["values"], ["answer"], axis=-1)]
    if manifest.outputs == "mean":
        shaped = ("Squeeze", ["values", "last"]) if manifest.targets is None else ("Identity", ["values"])
        return [helper.make_node(*shaped, ["answer"])]
    shaped = ("Squeeze", ["pairs", "one before"]) if manifest.targets is None else ("Identity", ["pairs"])
    return [
        *_affine(kept, "noise_weights", "noise_bias", "log_variances"),
        helper.make_node("Exp", ["log_variances"], ["variances"]),
        helper.make_node("Unsqueeze", ["values", "last"], ["mean"]),
        helper.make_node("Unsqueeze", ["variances", "last"], ["variance"]),
        helper.make_node("Concat", ["mean", "variance"], ["pairs"], axis=-1),
        helper.make_node(*shaped, ["answer"]),
    ]


def _random(inputs: Sequence[Input], rows: int) -> dict[str, np.ndarray]:
    """Draw rows of normal numbers, integers, and indices of categories."""
    random = np.random.default_rng(1)
    arrays = {}
    for spec in inputs:
        shape = (rows, *(size if isinstance(size, int) else _LENGTH for size in spec.shape[1:]))
        drawn: NDArray[Any] = random.normal(0, 1, shape)
        if spec.dtype == "int64":
            least, below = (-3, 4) if spec.below is None else (0, spec.below)
            drawn = random.integers(least, below, shape)
        for column, feature in enumerate(spec.features or ()):
            if feature.categories is not None:
                drawn[:, column] = random.integers(0, len(feature.categories), rows)
            if feature.dates is not None:
                quarters = 4 if feature.dates == ISO else 1
                drawn[:, column] = random.integers(-20_000 * quarters, 20_000 * quarters, rows) / quarters
            if feature.other:
                drawn[random.random(rows) < 0.4, column] = OTHER
            if feature.missing:
                drawn[random.random(rows) < 0.3, column] = np.nan
        arrays[spec.name] = drawn.astype(spec.dtype)
    return arrays


def _told(inputs: Sequence[Input], arrays: Inputs) -> Any:
    """Write rows as a client does."""
    if len(inputs) > 1:
        return {spec.name: _told([spec], arrays) for spec in inputs}
    (spec,) = inputs
    rows = arrays[spec.name].tolist()
    if spec.features is None:
        return rows
    return [
        {feature.name: _written(feature, value) for feature, value in zip(spec.features, row, strict=True)}
        for row in rows
    ]


def _written(feature: Feature, value: float) -> Any:
    if math.isnan(value):
        return None
    if feature.dates is not None:
        moment = datetime(1970, 1, 1) + timedelta(days=value)
        return moment.isoformat() if feature.dates == ISO else moment.strftime(feature.dates)
    if value == OTHER and feature.other:
        return _UNKNOWN
    return value if feature.categories is None else feature.categories[int(value)]


def _has_all_gaps(inputs: Sequence[Input], arrays: Inputs) -> NDArray[np.bool]:
    """Find the rows that have all gaps that the features of some row may have."""
    found = np.ones(CALIBRATION_ROWS, np.bool)
    for spec in inputs:
        array, features = arrays[spec.name], spec.features or ()
        may_lack = [column for column, feature in enumerate(features) if feature.missing]
        may_differ = [column for column, feature in enumerate(features) if feature.other]
        if may_lack:
            found &= np.isnan(array[:, may_lack]).any(axis=1)
        if may_differ:
            found &= (array[:, may_differ] == OTHER).any(axis=1)
    return found


MODELS: list[Model] = [
    # A class is called null, which must not be taken for the null of a number that is not finite.
    *_twice(
        "classes",
        _numbers(),
        classes=("no", "yes", "null"),
        facts={
            "sets": "lac",
            "temperature": TEMPERATURE,
            "deterministic_temperature": 2.5,
            "error_ratios": ErrorRatios(greatest=0.2, ratios=(0.5, 0.9)),
        },
    ),
    *_twice(
        "classes-of-features",
        _numbers(features=_PATIENT),
        classes=("no", "yes"),
        facts={"sets": "aps", "temperature": TEMPERATURE, "by_class": True},
    ),
    *_twice(
        "classes-of-records",
        _numbers("record", 4, dtype="float64", features=_RECORD),
        classes=("no", "yes", "maybe"),
        facts={"sets": "aps", "temperature": TEMPERATURE},
    ),
    *_twice(
        "value-of-records",
        _numbers("record", 4, dtype="float64", features=_RECORD),
        target="price",
        outputs="mean_variance",
    ),
    *_twice(
        "classes-of-several-inputs",
        _numbers("x", 2, dtype="float64"),
        _numbers("codes", "length", 2, dtype="int64", below=9),
        _numbers("patient", features=_PATIENT),
        classes=tuple("abcdefg"),
        facts={"sets": "raps", "temperature": 0.8},
    ),
    *_twice("value", _numbers(), target="price", noise_variance=0.25, double=True),
    *_twice("value-and-noise", _numbers(), target="price", outputs="mean_variance"),
    *_twice(
        "targets",
        _numbers(dtype="float64"),
        targets=("price", "rent"),
        noise_variance=(0.25, 400.0),
        facts={"error_ratios": ErrorRatios(greatest=(40.0, 400_000.0), ratios=(0.3, 0.6))},
    ),
    *_twice(
        "targets-and-noise",
        _numbers("image", 2, 2),
        targets=("price", "rent", "tax"),
        outputs="mean_variance",
        double=True,
    ),
    *_twice(
        "value-of-any-length",
        _numbers("codes", "length", 2, dtype="int64"),
        target="price",
        noise_variance=0.01,
    ),
]
