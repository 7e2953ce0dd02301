import re
from typing import Any

import numpy as np
import pytest

from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle, BundleError, pack
from caveat.models.bundles.manifest import Site
from caveat.models.bundles.signature import Input
from caveat.models.errors import InputError
from caveat.models.predictor import Predictor
from tests.bundles import linear_regression, linear_targets, tabular
from tests.models.damage.graphs import AXIS, NODE, model


@pytest.mark.parametrize("file", [PREDICT, PASSES])
def test_a_file_that_is_not_a_graph_is_refused_by_name(file: str) -> None:
    sound = linear_regression()
    junk = pack(sound.manifest, {**sound.files, file: b"junk"})
    with pytest.raises(
        BundleError, match=rf"linear/1/{file}: the graph is cut off, or no ONNX file"
    ) as refused:
        Predictor(junk)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("bundle", "changes", "message"),
    [
        (
            linear_regression(),
            {"inputs": (Input(name="z", dtype="float32", shape=("rows", 3)),)},
            r"predict.onnx: input 'x' is a float32 with 2 axes; in the manifest it is missing",
        ),
        (
            linear_regression(),
            {"inputs": (Input(name="x", dtype="float64", shape=("rows", 3)),)},
            r"input 'x' is a float32 with 2 axes; in the manifest it is a float64 with 2 axes",
        ),
        (
            linear_regression(),
            {"sites": (Site(name="other", kind="dropout", rate=0.5, shape=("passes", 1, 3)),)},
            "passes.onnx: input 'drop' is .*; in the manifest it is missing",
        ),
        (
            tabular(),
            {"classes": ("no", "yes", "maybe"), "output": ("rows", 3)},
            "predict.onnx: gives 2 classes, the manifest names 3",
        ),
        (
            linear_targets(),
            {"targets": ("a", "b", "c"), "output": ("rows", 3), "noise_variance": (1.0, 1.0, 1.0)},
            "predict.onnx: gives 2 targets, the manifest names 3",
        ),
    ],
)
def test_a_manifest_that_does_not_match_the_graphs_is_refused(
    bundle: Bundle, changes: dict[str, Any], message: str
) -> None:
    other = pack(bundle.manifest.model_copy(update=changes), bundle.files)
    with pytest.raises(BundleError, match=message):
        Predictor(other)


def test_an_answer_of_other_rows_than_were_asked_is_refused() -> None:
    """Else rows of one request could get the answers to those of another."""
    nodes = [
        NODE("ReduceSum", ["x", "axis 1"], ["sums"], keepdims=0),
        NODE("Greater", ["sums", "none"], ["some"]),
        NODE("Compress", ["sums", "some"], ["y"], axis=0),
    ]
    positive = model(nodes, AXIS | {"none": np.float32(0)}).SerializeToString()
    bundle = linear_regression()
    predictor = Predictor(pack(bundle.manifest, {**bundle.files, PREDICT: positive}))
    rows = np.array([[1, 1, 1], [-1, 0, 0]], np.float32)
    assert predictor.predict({"x": rows[:1]}).tolist() == [3]
    with pytest.raises(InputError, match="values that the network can run on") as refused:
        predictor.predict({"x": rows})
    assert re.match(r"gives float32 of shape \(1,\); .* shape \(2,\)", str(refused.value.__cause__))
