"""Small bundles in closed form, built node by node: no torch, no training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from caveat.models.answers.chance import CHANCE, chances
from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle, pack
from caveat.models.bundles.features import Feature
from caveat.models.bundles.manifest import Cost, Manifest, Site
from caveat.models.bundles.signature import Input
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import calibration_file
from caveat.models.tasks.facts import CalibrationFacts


def linear_regression(
    weights: ArrayLike = (1.0, -2.0, 3.0),
    bias: float = 0.5,
    rate: float = 0.5,
    noise_variance: float = 0.25,
    name: str = "linear",
    version: int = 1,
) -> Bundle:
    """Make ``y = (x * mask) @ weights + bias``.

    Over passes, y has mean ``x @ weights + bias`` and variance
    ``rate / (1 - rate) * sum((x * weights) ** 2)``.
    """
    column = np.asarray(weights, np.float32)
    return _bundle(
        column.reshape(-1, 1),
        [bias],
        rate,
        name=name,
        version=version,
        task="regression",
        description="A line through three numbers.",
        inputs=(Input(name="x", dtype="float32", shape=("rows", len(column))),),
        output=("rows",),
        target="y",
        noise_variance=noise_variance,
    )


WEIGHTS = np.array([[1, 100], [-2, 50], [3, -200]], np.float32)
BIAS = (0.5, 1000.0)


def linear_targets(noise_variance: tuple[float, float] = (0.25, 400.0), rate: float = 0.5) -> Bundle:
    """Make ``y = (x * mask) @ WEIGHTS + BIAS``, two targets of very different sizes."""
    return _bundle(
        WEIGHTS,
        BIAS,
        rate,
        name="pair",
        version=1,
        task="regression",
        inputs=(Input(name="x", dtype="float32", shape=("rows", 3)),),
        output=("rows", 2),
        targets=("small", "large"),
        noise_variance=noise_variance,
    )


def tabular(name: str = "tabular", version: int = 1, rate: float = 0.5) -> Bundle:
    """Make a classification of named features, one of them categorical, into ``no`` and ``yes``."""
    return _bundle(
        np.array([[0.02, -0.02], [-1.0, 1.0], [0.5, -0.5]], np.float32),
        [0.1, -0.1],
        rate,
        name=name,
        version=version,
        task="classification",
        inputs=(
            Input(
                name="x",
                dtype="float32",
                shape=("rows", 3),
                features=(
                    Feature(name="age"),
                    Feature(name="smoker", categories=("no", "yes")),
                    Feature(name="dose"),
                ),
            ),
        ),
        output=("rows", 2),
        classes=("no", "yes"),
    )


def softmax_classifier(classes: int, spread: float, rate: float = 0.1) -> Bundle:
    """Make ``softmax((x * mask) @ weights)`` with random weights: the larger their spread, the surer rows."""
    weights = spread * np.random.default_rng(classes).normal(size=(3, classes))
    return _bundle(
        weights.astype(np.float32),
        [0.0] * classes,
        rate,
        name="softmax",
        version=1,
        task="classification",
        inputs=(Input(name="x", dtype="float32", shape=("rows", 3)),),
        output=("rows", classes),
        classes=tuple(map(str, range(classes))),
    )


def _bundle(weights: np.ndarray[Any, Any], bias: Sequence[float], rate: float, **fields: Any) -> Bundle:
    features, outputs = weights.shape
    manifest = Manifest(
        outputs="mean" if fields["task"] == "regression" else "probabilities",
        sites=(Site(name="drop", kind="dropout", rate=rate, shape=("passes", 1, features)),),
        cost=Cost(row=features, row_pass=features + outputs, mask=features),
        **fields,
    )
    constants = {"weights": weights, "bias": np.asarray(bias, np.float32)}
    scale = {"scale": np.array(1 / (1 - rate), np.float32)}
    return pack(
        manifest,
        {
            PREDICT: _graph(manifest, constants, {}),
            PASSES: _graph(manifest, constants | scale, {"drop": ["passes", 1, features]}),
        },
    )


def _graph(
    manifest: Manifest, constants: dict[str, np.ndarray[Any, Any]], masks: dict[str, list[str | int]]
) -> bytes:
    """Write ``(x * mask * scale) @ weights + bias``, with a softmax or without the last axis."""
    nodes = [
        node
        for mask in masks
        for node in (
            helper.make_node("Cast", [mask], ["zeros and ones"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["zeros and ones", "scale"], ["scaled"]),
            helper.make_node("Mul", ["x", "scaled"], ["kept"]),
        )
    ]
    nodes += [
        helper.make_node("MatMul", ["kept" if masks else "x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
    ]
    if manifest.task == "classification":
        nodes.append(helper.make_node("Softmax", ["sum"], ["y"], axis=-1))
    elif manifest.targets:
        nodes[-1].output[0] = "y"
    else:
        constants = constants | {"last": np.array([-1], np.int64)}
        nodes.append(helper.make_node("Squeeze", ["sum", "last"], ["y"]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(manifest.inputs[0].shape))]
    inputs += [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name, shape in masks.items()]
    output: list[str | int] = [*(["passes"] if masks else []), *manifest.output]
    graph = helper.make_graph(
        nodes,
        "linear",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def drawn(manifest: Manifest, rows: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw rows for one of these models, and truths that are its answers but for noise."""
    random = np.random.default_rng(seed)
    (spec,) = manifest.inputs
    x = random.uniform(-2, 2, (rows, 3)).astype(np.float32)
    if manifest.targets:
        return {spec.name: x}, x @ WEIGHTS + BIAS + random.normal(0, (3, 90), (rows, 2))
    if manifest.classes is None:
        return {spec.name: x}, x @ np.array([1.0, -2.0, 3.0]) + 0.5 + random.normal(0, 3, rows)
    x[:, 0] = random.uniform(0, 100, rows)
    x[:, 1] = x[:, 1] > 0
    score = 0.04 * x[:, 0] - 2 * x[:, 1] + x[:, 2]
    return {spec.name: x}, (random.random(rows) > 1 / (1 + np.exp(-score))).astype(np.int64)


TEMPERATURE = 1.5


def calibrated(bundle: Bundle, rows: int = 199, seed: int = 1) -> Bundle:
    """Give a bundle the calibration that some rows make, without fitting anything."""
    classes = bundle.manifest.classes is not None
    return calibrated_on(
        bundle,
        *drawn(bundle.manifest, rows, seed),
        temperature=TEMPERATURE if classes else None,
        deterministic_temperature=TEMPERATURE if classes else None,
        sets="lac" if classes else None,
    )


def calibrated_on(
    bundle: Bundle, inputs: dict[str, np.ndarray], truth: np.ndarray, samples: int = 100, **facts: Any
) -> Bundle:
    """Give a bundle the calibration that these rows make, with these facts about it."""
    if bundle.manifest.classes is not None:
        facts = {"sets": "lac", "temperature": 1.0, "deterministic_temperature": 1.0, **facts}
    stated = CalibrationFacts(rows=len(truth), samples=samples, seed=0, **facts)
    answers = {**estimate(Predictor(bundle), inputs, samples, 0), CHANCE: chances(inputs, 0)}
    content = calibration_file.write(truth, answers)
    manifest = bundle.manifest.model_copy(update={"calibration": stated})
    return pack(manifest, {**bundle.files, calibration_file.FILE: content})
