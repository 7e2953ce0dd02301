"""Graphs that would do harm, or could not answer."""

from typing import Any

import numpy as np
from onnx import TensorProto

from tests.models.damage.damage import Damage, Do, predict, put
from tests.models.damage.graphs import (
    NODE,
    apart,
    extra,
    giving,
    graph,
    loop,
    model,
    nested,
    overflowing,
    plain,
)


def weights(**entries: str) -> Do:
    return put(weights_bin=bytes(64), predict_onnx=apart("weights.bin", **entries))


def ones(count: int) -> np.ndarray[Any, Any]:
    return np.array([count])


TEXT = TensorProto(name="t", data_type=TensorProto.STRING, dims=[1], string_data=[b"a"])


GRAPHS = {
    "no graph": Damage(predict(b"junk"), "predict.onnx: the graph is cut off, or no ONNX file"),
    "nothing at all": Damage(predict(b""), "predict.onnx: the graph holds no graph"),
    "a graph cut off": Damage(predict(plain()[:-7]), "predict.onnx: the graph is cut off"),
    "an unknown operator": Damage(predict(giving("Frobnicate")), "ONNX Runtime can't load it: .*Frobnicate"),
    "a later opset": Damage(predict(plain(opset=999)), "written for opset 999; opsets up to"),
    "operators of a vendor": Damage(
        predict(giving("Gelu", domain="com.microsoft")), "uses operators of 'com.microsoft'"
    ),
    **{
        f"weights at {location!r} in a {inside}": Damage(
            predict(apart(location, inside=inside)), f"the graph takes weights from .*{words}"
        )
        for inside, words in (
            *(("initializer", ", which is not a file of the bundle"), ("constant", "a file in a constant")),
            ("branch", "a file in a branch"),
        )
        for location in (
            *("secret", "../outside/secret", "/etc/hostname", "*/_ORT_MEM_ADDR_/*"),
            *("predict.onnx", "manifest.json", "calibration.npz", None),
        )
    },
    "weights beyond the end": Damage(
        weights(offset="60"), "takes 12 bytes at offset 60 of weights.bin, which has 64"
    ),
    "weights from before the start": Damage(
        weights(offset="-12"), "takes 12 bytes at offset -12 of weights.bin"
    ),
    "weights without a length": Damage(weights(length=""), "takes no number of bytes at offset 0"),
    "weights of another length": Damage(
        weights(length="16"), r"takes 16 bytes of weights.bin for a tensor of shape \(3,\)"
    ),
    "weights of an impossible shape": Damage(predict(overflowing()), "ONNX Runtime can't load it"),
    "sparse weights": Damage(predict(extra("sparse")), "the graph has sparse weights"),
    "functions": Damage(predict(extra("functions")), "the graph has functions of its own"),
    "training": Damage(predict(extra("training")), "the graph has a training part"),
    "branches in branches": Damage(predict(nested(10)), "the graph nests graphs deeper than 8"),
    "a loop": Damage(predict(loop()), "the graph has a Loop, which may never end"),
    **{
        f"{name} in the graph": Damage(predict(giving(name)), f"draws at random on its own, with {name}")
        for name in ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Dropout", "Multinomial")
    },
    "the least integer divided by -1": Damage(
        predict(
            graph(
                [NODE("Div", ["least", "d"], ["q"]), NODE("Cast", ["q"], ["b"], to=TensorProto.FLOAT)],
                "b",
                least=np.array([-(2**63)]),
                d=np.array([-1]),
            )
        ),
        r"divides integers by what may be -1 .*, with Div, which can end the process",
    ),
    "numbers of the rows divided by one another": Damage(
        predict(
            graph(
                [
                    NODE("Cast", ["x"], ["i"], to=TensorProto.INT32),
                    NODE("Mod", ["i", "i"], ["q"]),
                    NODE("Cast", ["q"], ["b"], to=TensorProto.FLOAT),
                ],
                "b",
            )
        ),
        r"divides integers by what may be -1 .*, with Mod, which can end the process",
    ),
    "text": Damage(
        predict(graph([NODE("Constant", [], ["t"], value=TEXT)])),
        "the graph has constants of text",
    ),
    "text that grows": Damage(predict(giving("StringConcat")), "the graph works on text, with StringConcat"),
    "10^12 values of a constant": Damage(
        predict(graph([NODE("ConstantOfShape", ["n"], ["b"])], "b", n=ones(10**12))),
        "takes more than 512 MiB",
    ),
    "10^12 values by Expand": Damage(
        predict(graph([NODE("Expand", ["one", "n"], ["b"])], "b", one=np.float32(1), n=ones(10**12))),
        "takes more than 512 MiB",
    ),
    "10^9 values by Expand": Damage(
        predict(graph([NODE("Expand", ["x", "n"], ["b"])], "b", n=np.array([10**8 * 3, 1, 1]))),
        "takes more than 512 MiB",
    ),
    "10^9 values by Tile": Damage(
        predict(graph([NODE("Tile", ["x", "n"], ["b"])], "b", n=np.array([10**9, 1]))),
        "would require more than",
    ),
    "10^12 values by Range": Damage(
        predict(
            graph(
                [
                    NODE("Range", ["zero", "n", "one"], ["r"]),
                    NODE("Cast", ["r"], ["b"], to=TensorProto.FLOAT),
                ],
                "b",
                zero=np.array(0),
                one=np.array(1),
                n=np.array(10**12),
            )
        ),
        "takes more than 512 MiB",
    ),
    "10^12 values by OneHot": Damage(
        predict(
            graph(
                [NODE("OneHot", ["at", "depth", "pair"], ["b"])],
                "b",
                at=np.array([0]),
                depth=np.array(10**12),
                pair=np.array([0, 1], np.float32),
            )
        ),
        "takes more than 512 MiB",
    ),
    "10^12 values by Pad": Damage(
        predict(graph([NODE("Pad", ["x", "n"], ["b"])], "b", n=np.array([0, 0, 0, 10**12]))),
        "takes more than",
    ),
    "10^10 values by a product": Damage(
        predict(
            graph(
                [
                    NODE("Expand", ["x", "n"], ["a"]),
                    NODE("Reshape", ["a", "column"], ["c"]),
                    NODE("Reshape", ["a", "line"], ["d"]),
                    NODE("Mul", ["c", "d"], ["b"]),
                ],
                "b",
                n=np.array([30_000, 1, 1]),
                column=np.array([-1, 1]),
                line=np.array([1, -1]),
            )
        ),
        "takes more than 512 MiB",
    ),
    "another shape": Damage(predict(giving("Identity")), r"gives float32 of shape \(1, 3\)|gives 3 classes"),
    "no axis": Damage(
        predict(model([NODE("ReduceSum", ["x"], ["y"], keepdims=0)]).SerializeToString()),
        r"predict.onnx: gives float32 of shape \(\)",
    ),
    "integers": Damage(
        predict(giving("Cast", TensorProto.INT64, to=TensorProto.INT64)),
        "predict.onnx: gives (int64 of shape|3 classes)",
    ),
}


def columns(*nodes: Any, **constants: Any) -> Do:
    """Damage a bundle with a graph that gives two columns, as the manifest says."""
    two = {"two": np.zeros((3, 2), np.float32)} | constants
    made = model([NODE("MatMul", ["x", "two"], ["p"]), *nodes], two)
    return predict(made.SerializeToString())


ANSWERS = {
    "10^10 values as an answer": Damage(
        columns(NODE("Expand", ["p", "n"], ["y"]), n=np.array([10**10, 1, 1])), "takes more than 512 MiB"
    ),
    "NaN on the example": Damage(
        columns(NODE("Div", ["p", "p"], ["y"])), "gives numbers that are not finite on rows of zeros"
    ),
    "infinity on the example": Damage(
        columns(NODE("Exp", ["p"], ["e"]), NODE("Div", ["e", "p"], ["y"])),
        "gives numbers that are not finite",
    ),
    "no probabilities": Damage(
        columns(NODE("Exp", ["p"], ["e"]), NODE("Add", ["e", "e"], ["y"])), "gives numbers outside 0 to 1"
    ),
    "an index out of a table": Damage(
        columns(NODE("Gather", ["p", "far"], ["y"]), far=np.array([7])),
        "predict.onnx: can't run on rows of zeros",
    ),
}
