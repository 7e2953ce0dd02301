"""Every bundle with something wrong is refused with a line that says what, and nothing else is read for it."""

import json
import os
import resource
import shutil
import socket
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from caveat import main
from models import calibration, store, trial
from models.bundle import CARD, MANIFEST, PASSES, PREDICT, BundleError, pack
from models.predictor import Predictor
from service.examples import example_rows
from tests.bundles import calibrated, tabular
from tests.models import hostile
from tests.models.hostile import apart, arrays, edit, graph, model, seal, sum_of, watched

NODE = helper.make_node

PAGE = b"<p>A page.</p>" * 10


@dataclass(frozen=True)
class Damage:
    """What is done to the folder of a sound bundle, and words of the refusal."""

    do: Callable[[Path], object]
    words: str


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 20)


def put(**files: bytes) -> Callable[[Path], object]:
    return lambda folder: seal(folder, **files)


def predict(content: bytes) -> Callable[[Path], object]:
    return put(predict_onnx=content)


def say(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder, **changes)


def listing(name: str) -> Callable[[Path], object]:
    """List another file, with the digest of a sound one."""

    def do(folder: Path) -> None:
        files = hostile.manifest(folder)["files"]
        edit(folder, files=files | {name: files[PASSES]})

    return do


def write(text: bytes | str) -> Callable[[Path], object]:
    return lambda folder: (folder / MANIFEST).write_bytes(text if isinstance(text, bytes) else text.encode())


def replace(old: str, new: str) -> Callable[[Path], object]:
    """Change the text of the manifest, which then need not be what any library writes."""

    def do(folder: Path) -> None:
        text = (folder / MANIFEST).read_text()
        assert old in text
        (folder / MANIFEST).write_text(text.replace(old, new, 1))

    return do


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def do(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return do


def link(name: str) -> Callable[[Path], object]:
    """Move a file, or a folder, out of the store and leave a link to it."""

    def do(folder: Path) -> None:
        place = folder / name if name else folder
        outside = folder.parents[2] / "outside" / "moved"
        shutil.move(place, outside)
        place.symlink_to(outside)

    return do


def link_model(folder: Path) -> None:
    link("")(folder.parent)


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(path.parent)  # for a socket's path must be short
        server.bind(path.name)
        os.chdir(before)


def swap(folder: Path) -> None:
    seal(
        folder,
        predict_onnx=(folder / PASSES).read_bytes(),
        passes_onnx=(folder / PREDICT).read_bytes(),
    )


def grow(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)  # of which the disk holds nothing


def size(name: str, bytes: int) -> Callable[[Path], object]:  # noqa: A002
    def do(folder: Path) -> None:
        files = hostile.manifest(folder)["files"]
        files[name]["bytes"] = bytes
        edit(folder, files=files)

    return do


def input_of(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder, inputs=[hostile.manifest(folder)["inputs"][0] | changes])


def site_of(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder, sites=[hostile.manifest(folder)["sites"][0] | changes])


def arrays_of(**changes: Any) -> Callable[[Path], object]:
    """Change arrays of the calibration; None takes one away."""

    def do(folder: Path) -> None:
        with np.load(folder / calibration.FILE) as found:
            changed = {name: array for name, array in (dict(found) | changes).items() if array is not None}
        seal(folder, calibration_npz=arrays(**changed))

    return do


def bomb() -> bytes:
    """Make a calibration that takes a hundred thousand times as much memory as it has bytes."""
    buffer = BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("truth.npy", "w", force_zip64=True) as file,
    ):
        head = {"descr": "<i8", "fortran_order": False, "shape": (10**8,)}
        np.lib.format.write_array_header_1_0(file, head)  # type: ignore[arg-type]
        for _ in range(200):
            file.write(bytes(2**20))
    return buffer.getvalue()


def lying_bomb() -> bytes:
    """Make a calibration whose head speaks of more numbers than there are."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("truth.npy", "w") as file:
        head = {"descr": "<i8", "fortran_order": False, "shape": (10**15,)}
        np.lib.format.write_array_header_1_0(file, head)  # type: ignore[arg-type]
    return buffer.getvalue()


def weights(**entries: str) -> Callable[[Path], object]:
    return put(weights_bin=bytes(64), predict_onnx=apart("weights.bin", **entries))


def ones(count: int) -> np.ndarray[Any, Any]:
    return np.array([count])


def extra(part: str) -> bytes:
    """Make a sound graph that has a part besides which no network needs."""
    made = model(sum_of("x"), hostile.AXIS)
    if part == "functions":
        made.functions.append(
            helper.make_function("own", "twice", ["a"], ["b"], [NODE("Add", ["a", "a"], ["b"])], [])
        )
    elif part == "training":
        made.training_info.add()
    elif part == "sparse":
        made.graph.sparse_initializer.append(
            helper.make_sparse_tensor(
                helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]),
                helper.make_tensor("i", TensorProto.INT64, [1], [0]),
                [10**12],
            )
        )
    content: bytes = made.SerializeToString()
    return content


def without_end(opset: int = 20) -> bytes:
    content: bytes = model(sum_of("x"), hostile.AXIS, opset=opset).SerializeToString()
    return content


def overflowing() -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**33, 2**33, 2**33], raw_data=bytes(4))
    content: bytes = model(sum_of("x", "w"), hostile.AXIS, [tensor]).SerializeToString()
    return content


def giving(node: str, output: int = TensorProto.FLOAT, **attributes: Any) -> bytes:
    """Make a graph that gives what one operator makes of its rows."""
    content: bytes = model([NODE(node, ["x"], ["y"], **attributes)], output=output).SerializeToString()
    return content


FILES = {
    **{f"{name} is missing": Damage(lambda folder, name=name: (folder / name).unlink(), name) for name in (
        PREDICT, PASSES, CARD, calibration.FILE, MANIFEST
    )},
    **{f"{name} is cut off": Damage(cut(name), rf"{name}: holds \S+ bytes, the manifest says") for name in (
        PREDICT, PASSES, CARD, calibration.FILE
    )},
    "the manifest is cut off": Damage(cut(MANIFEST), r"manifest.json: Invalid JSON: "),
    "a file has grown": Damage(
        lambda folder: os.truncate(folder / CARD, 10**6), "card.html: holds 1,000,000 bytes; expected at most"
    ),
    "a file has grown beyond all memory": Damage(instead(PASSES, grow), "passes.onnx: holds 1,000,000,000,000"),
    "another content": Damage(
        lambda folder: (folder / CARD).write_bytes(PAGE.swapcase()), "card.html: sha256 is .*, the manifest says"
    ),
    "a wrong size is stated": Damage(size(CARD, 9), "card.html: holds 140 bytes; expected at most 9"),
    "a huge size is stated": Damage(size(CARD, 10**15), "says that card.html holds 1,000,000,000,000,000 bytes"),
    "a graph beyond what is one": Damage(size(PREDICT, 2**32), "says that predict.onnx holds"),
    "weights beyond all memory": Damage(
        lambda folder: (seal(folder, weights_bin=b""), size("weights.bin", 10**15)(folder)),
        "says that weights.bin holds 1,000,000,000,000,000 bytes",
    ),
    "the graphs are swapped": Damage(swap, "predict.onnx: input 'drop' is .*, the manifest says not there"),
    "a file is a link": Damage(link(PREDICT), "predict.onnx: missing, or not a plain file"),
    "the manifest is a link": Damage(link(MANIFEST), "manifest.json: missing, or not a plain file"),
    "the version is a link": Damage(link(""), "tabular/1: a link; a store may be one"),
    "the model is a link": Damage(link_model, "tabular: a link; a store may be one"),
    "a file is a link to nowhere": Damage(
        instead(CARD, lambda path: path.symlink_to("nowhere")), "card.html: missing, or not"
    ),
    "a file is a link to itself": Damage(
        instead(CARD, lambda path: path.symlink_to(path)), "card.html: missing, or not"
    ),
    "a file is a pipe": Damage(instead(PREDICT, os.mkfifo), "predict.onnx: missing, or not a plain file"),
    "the manifest is a pipe": Damage(instead(MANIFEST, os.mkfifo), "manifest.json: missing, or not"),
    "a file is a socket": Damage(instead(CARD, listen), "card.html: missing, or not a plain file"),
    "a file is a folder": Damage(instead(CARD, Path.mkdir), "card.html: missing, or not a plain file"),
    "it stands elsewhere": Damage(say(version=2), "says tabular/2, which is not where it stands"),
    **{
        f"it lists {name[:20]!r}": Damage(listing(name), "which is not a plain file of the bundle")
        for name in (
            *("../../../outside/secret", "/etc/hostname", "sub/file", "sub\\file", "C:file", "", ".", "..", ".x"),
            *("a" * 129, "a\tb", "a b", "é", "card.html:stream", "predict.onnx/"),
        )
    },
    "it lists a name twice": Damage(replace('"card.html"', '"predict.onnx"'), '"predict.onnx" stands twice'),
    "it lists a name that differs by its case": Damage(
        listing("Predict.onnx"), "some systems take for predict.onnx"
    ),
    "it lists the manifest": Damage(listing(MANIFEST), r"lists manifest.json"),
    "it lists no graph": Damage(say(files={}), r"lists no predict.onnx"),
}  # fmt: skip

MANIFESTS = {
    "a later schema": Damage(say(schema_version=2), "schema_version is 2; this version of Caveat reads 1"),
    "an empty manifest": Damage(write(""), "Invalid JSON"),
    "a manifest of 100 MB": Damage(
        lambda folder: os.truncate(folder / MANIFEST, 10**8), "manifest.json: holds 100,000,000 bytes"
    ),
    "a manifest nested deeply": Damage(write("[" * 10**6), "manifest.json: Invalid JSON: nested too deeply"),
    "an example nested deeply": Damage(
        replace('"example": null', f'"example": {"[" * 100}{"]" * 100}'), "nested too deeply"
    ),
    "a manifest that is no object": Damage(write("[]"), "manifest.json: Input should be an object"),
    "a manifest in Latin-1": Damage(write(b'{"name": "\xe9"}'), "manifest.json: Invalid JSON: not UTF-8 at byte 10"),
    "a name twice": Damage(replace('"version": 1', '"version": 1, "version": 2'), '"version" stands twice'),
    "NaN": Damage(replace('"metrics": {}', '"metrics": {"a": NaN}'), "NaN is no finite number"),
    "an infinite number": Damage(
        replace('"hyperparameters": {}', '"hyperparameters": {"a": 1e400}'), "1e400 is no finite number"
    ),
    "an endless number": Damage(replace('"version": 1', f'"version": {"9" * 5000}'), "Invalid JSON: .*digits"),
    "half a character": Damage(say(description="\ud800"), "has control characters"),
    "a description that clears the screen": Damage(say(description="\x1b[2J"), r'"\\x1b\[2J" has control'),
    "a class with a line's end": Damage(say(classes=["no", "yes\n2026 all is well"]), r"classes\.1: String should"),
    "a site with a line's end": Damage(site_of(name="a\nb"), r"sites\.0\.name: String should"),
    "a metric with a line's end": Damage(say(metrics={"a\nb": 1}), r"metrics\.a\\nb"),
    "a name that is a path": Damage(say(name="../tabular"), "name: String should match pattern"),
    "a class twice": Damage(say(classes=["no", "no"]), "classes are called 'no' twice"),
    "classes by the million": Damage(
        say(classes=[str(i) for i in range(10**6)], output=["rows", 10**6]), "expected numbers of shape .199, 1000000."
    ),
    "categories by the million": Damage(
        input_of(features=[{"name": "age", "categories": [str(i) for i in range(10**6)]}]),
        "its example does not fit|gives|can't run",
    ),
    "an input of a thousand million values": Damage(
        input_of(shape=["rows", 10**9], features=None), "input x: says 1,000,000,000 values; at most"
    ),
    "an input of no rows": Damage(input_of(shape=[5, 3]), "input x: its first axis is rows"),
    "a site of 10^12 values": Damage(site_of(shape=["passes", 10**6, 10**6]), "site drop: says 1,000,000,000,000"),
    "a site that is no arithmetic": Damage(site_of(shape=["passes", "9**9**9**9"]), "site drop: .* nor arithmetic"),
    "a site of a number beyond words": Damage(
        site_of(shape=["passes", "*".join(["0x" + "f" * 900] * 10)]), "says more than 10"
    ),
    "a site of an unknown size": Damage(site_of(shape=["passes", "width"]), "'width' is neither a size"),
    "a site below nothing": Damage(site_of(shape=["passes", "1 - 2"]), "site drop: says -1 values"),
    "a huge cost": Damage(say(cost={"row": 10**12, "row_pass": 1, "mask": 1}), "cost: row: says 1,000,000,000,000"),
    "a cost that divides by nothing": Damage(
        say(cost={"row": "1//0", "row_pass": 1, "mask": 1}), "cost: row: '1//0' is not integer arithmetic"
    ),
    "a cost that may divide by nothing": Damage(
        lambda folder: (
            input_of(shape=["rows", "length"], features=None)(folder),
            edit(folder, cost={"row": "1//(length - 5)", "row_pass": 1, "mask": 1}),
        ),
        "divides by length - 5, which may be 0",
    ),
    "a cost that goes on and on": Damage(
        say(cost={"row": "1+" * 10**6 + "1", "row_pass": 1, "mask": 1}), "an expression has 2,000,001 characters"
    ),
    "a cost of many brackets": Damage(
        say(cost={"row": "(" * 4000 + "1" + ")" * 4000, "row_pass": 1, "mask": 1}), "is not integer arithmetic"
    ),
    "an example of other rows": Damage(say(example=[[1, 2]]), "its example does not fit its inputs: inputs"),
    "an example that is no row": Damage(say(example={"a": 1}), "its example does not fit its inputs: inputs"),
}  # fmt: skip

GRAPHS = {
    "no graph": Damage(predict(b"junk"), "predict.onnx: the graph is cut off, or no ONNX file"),
    "nothing at all": Damage(predict(b""), "predict.onnx: the graph holds no graph"),
    "a graph cut off": Damage(predict(without_end()[:-7]), "predict.onnx: the graph is cut off"),
    "an unknown operator": Damage(predict(giving("Frobnicate")), "ONNX Runtime can't load it: .*Frobnicate"),
    "a later opset": Damage(predict(without_end(opset=999)), "ONNX Runtime can't load it: "),
    "operators of a vendor": Damage(
        predict(giving("Gelu", domain="com.microsoft")), "uses operators of 'com.microsoft'"
    ),
    **{
        f"weights at {location!r} in a {inside}": Damage(
            predict(apart(location, inside=inside)), f"the graph takes weights from .*{words}"
        )
        for inside, words in (
            *(("initializer", ", which is no file of the bundle"), ("constant", "elsewhere in a constant")),
            ("branch", "elsewhere in a branch"),
        )
        for location in (
            *("secret", "../outside/secret", "/etc/hostname", "*/_ORT_MEM_ADDR_/*"),
            *("predict.onnx", "manifest.json", "calibration.npz", None),
        )
    },
    "weights beyond the end": Damage(weights(offset="60"), "takes 12 bytes from 60 on of weights.bin, which has 64"),
    "weights from before the start": Damage(weights(offset="-12"), "takes 12 bytes from -12 on of weights.bin"),
    "weights of no length": Damage(weights(length=""), "takes no number of bytes from 0 on"),
    "weights of another length": Damage(weights(length="16"), "ONNX Runtime can't load it"),
    "weights that are of no such shape": Damage(predict(overflowing()), "ONNX Runtime can't load it"),
    "sparse weights": Damage(predict(extra("sparse")), "the graph has sparse weights"),
    "functions": Damage(predict(extra("functions")), "the graph has functions of its own"),
    "training": Damage(predict(extra("training")), "the graph has a training part"),
    "branches in branches": Damage(predict(hostile.nested(10)), "the graph nests graphs deeper than 8"),
    "a loop": Damage(predict(hostile.loop()), "the graph has a Loop, which may never end"),
    **{
        f"{name} in the graph": Damage(predict(giving(name)), f"draws at random on its own, with {name}")
        for name in ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Dropout", "Multinomial")
    },
    "text": Damage(predict(graph([NODE("Constant", [], ["t"], value=helper.make_tensor("t", 8, [1], [b"a"]))])),
                   "the graph has constants of text"),
    "text that grows": Damage(predict(giving("StringConcat")), "the graph works on text, with StringConcat"),
    "10^12 values of a constant": Damage(
        predict(graph([NODE("ConstantOfShape", ["n"], ["b"])], "b", n=ones(10**12))), "takes more than 512 MiB"
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
        predict(graph([NODE("Tile", ["x", "n"], ["b"])], "b", n=np.array([10**9, 1]))), "would require more than"
    ),
    "10^12 values by Range": Damage(
        predict(
            graph(
                [NODE("Range", ["zero", "n", "one"], ["r"]), NODE("Cast", ["r"], ["b"], to=TensorProto.FLOAT)],
                "b", zero=np.array(0), one=np.array(1), n=np.array(10**12),
            )
        ),
        "takes more than 512 MiB",
    ),
    "10^12 values by OneHot": Damage(
        predict(
            graph(
                [NODE("OneHot", ["at", "depth", "pair"], ["b"])],
                "b", at=np.array([0]), depth=np.array(10**12), pair=np.array([0, 1], np.float32),
            )
        ),
        "takes more than 512 MiB",
    ),
    "10^12 values by Pad": Damage(
        predict(graph([NODE("Pad", ["x", "n"], ["b"])], "b", n=np.array([0, 0, 0, 10**12]))), "takes more than"
    ),
    "10^10 values by a product": Damage(
        predict(
            graph(
                [NODE("Expand", ["x", "n"], ["a"]), NODE("Reshape", ["a", "column"], ["c"]),
                 NODE("Reshape", ["a", "line"], ["d"]), NODE("Mul", ["c", "d"], ["b"])],
                "b", n=np.array([30_000, 1, 1]), column=np.array([-1, 1]), line=np.array([1, -1]),
            )
        ),
        "takes more than 512 MiB",
    ),
    "another shape": Damage(predict(giving("Identity")), r"gives float32 of shape \(1, 3\)|gives 3 classes"),
    "no axis": Damage(
        predict(model([NODE("ReduceSum", ["x"], ["y"], keepdims=0)]).SerializeToString()),
        "predict.onnx: gives float32 of shape",
    ),
    "integers": Damage(
        predict(giving("Cast", TensorProto.INT64, to=TensorProto.INT64)), "predict.onnx: gives (int64 of shape|3 classes)"
    ),
}  # fmt: skip


def columns(*nodes: Any, **constants: Any) -> Callable[[Path], object]:
    """Make a graph that gives two columns, as the manifest says."""
    two = {"two": np.zeros((3, 2), np.float32)} | constants
    made = model([NODE("MatMul", ["x", "two"], ["p"]), *nodes], two)
    return predict(made.SerializeToString())


ANSWERS = {
    "10^10 values as an answer": Damage(
        columns(NODE("Expand", ["p", "n"], ["y"]), n=np.array([10**10, 1, 1])), "takes more than 512 MiB"
    ),
    "NaN on the example": Damage(
        columns(NODE("Div", ["p", "p"], ["y"])), "predict.onnx: gives numbers that are not finite"
    ),
    "infinity on the example": Damage(
        columns(NODE("Exp", ["p"], ["e"]), NODE("Div", ["e", "p"], ["y"])), "gives numbers that are not finite"
    ),
    "no probabilities": Damage(
        columns(NODE("Exp", ["p"], ["e"]), NODE("Add", ["e", "e"], ["y"])), "gives numbers that are no probab"
    ),
    "an index out of a table": Damage(
        columns(NODE("Gather", ["p", "far"], ["y"]), far=np.array([7])), "predict.onnx: can't run on the bundle's"
    ),
}  # fmt: skip

ROWS = 199

CALIBRATIONS = {
    "no archive": Damage(put(calibration_npz=b"junk"), "calibration.npz: not the arrays of a calibration"),
    "an archive that unpacks to 200 MB": Damage(
        put(calibration_npz=bomb()), r"truth takes 209,715,\S+ bytes; expected numbers of shape \(199,\)"
    ),
    "an array that says it is huge": Damage(put(calibration_npz=lying_bomb()), "not the arrays of a calibration"),
    "objects": Damage(arrays_of(truth=np.array([{}] * ROWS)), "not the arrays of a calibration: Object arrays"),
    "an array is missing": Damage(arrays_of(mean=None), "no item named 'mean.npy' in the archive"),
    "fewer rows": Damage(arrays_of(label=np.zeros(3, np.int64)), r"label is int64 of shape \(3,\); expected"),
    "other rows are stated": Damage(
        lambda folder: edit(folder, calibration=hostile.manifest(folder)["calibration"] | {"rows": 10**12}),
        r"expected numbers of shape \(1000000000000,\)",
    ),
    "text for numbers": Damage(arrays_of(truth=np.array(["a"] * ROWS)), "truth is <U1 of shape"),
    "not a number": Damage(
        arrays_of(mean=np.full((ROWS, 2), np.nan, np.float32)), "mean has numbers that are not finite"
    ),
    "a class that is none": Damage(arrays_of(truth=np.full(ROWS, 2)), "are numbers of its classes"),
    "a class below all": Damage(arrays_of(label=np.full(ROWS, -1)), "are numbers of its classes"),
    "fractions of classes": Damage(arrays_of(truth=np.full(ROWS, 0.5)), "are numbers of its classes"),
    "uncertainty below nothing": Damage(
        arrays_of(predictive_entropy=np.full(ROWS, -1.0)), "predictive_entropy is negative"
    ),
}  # fmt: skip

DAMAGES = FILES | MANIFESTS | GRAPHS | ANSWERS | CALIBRATIONS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound bundle in a store, with something outside that nobody may read."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(np.ones(3, np.float32).tobytes())
    bundle = calibrated(tabular())
    return store.add(tmp_path / "store", pack(bundle.manifest, {**bundle.files, CARD: PAGE}))


def load(folder: Path) -> Predictor:
    """Load as the service does."""
    predictor = Predictor(store.load(folder), threads=1)
    trial.try_out(predictor, example_rows(predictor.manifest))
    return predictor


def resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_the_bundle_is_sound_until_something_is_done_to_it(folder: Path) -> None:
    assert load(folder).card == PAGE


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_it_is_refused_with_a_reason_and_nothing_outside_is_read(
    folder: Path, damage: Damage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damage.do(folder)
    outside = folder.parents[2] / "outside"
    monkeypatch.chdir(outside)  # where an engine would look for files that a graph names
    before = resident()
    with watched(outside) as seen:
        with pytest.raises(BundleError, match=damage.words) as refused:
            load(folder)
        inspected = main(["inspect", str(folder)])
    assert seen == []
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) <= 500
    assert resident() - before < 300e6
    out, told = capsys.readouterr()
    assert (inspected, told.count("\n")) in ((0, 0), (1, 1))
    assert "\x1b" not in out


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_what_is_watched_for_does_happen_without_the_checks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = folder.parents[2] / "outside"
    monkeypatch.chdir(outside)
    with watched(outside) as seen:
        (outside / "secret").read_bytes()
    assert set(seen) == {"secret"}
    with watched(outside) as seen:
        onnxruntime.InferenceSession(apart("secret", inside="branch"))
    assert set(seen) == {"secret"}


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_weights_are_those_of_the_bundle_and_not_of_where_it_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = folder.parents[2] / "outside"
    (outside / "weights.bin").write_bytes(bytes(64))
    monkeypatch.chdir(outside)
    seven = np.full(3, 7, np.float32).tobytes()
    seal(folder, weights_bin=bytes(52) + seven, predict_onnx=apart("weights.bin", offset="52"))
    with watched(outside) as seen:
        predictor = Predictor(store.load(folder), threads=1)
        assert predictor.predict({"x": np.ones((2, 3), np.float32)}).tolist() == [24, 24]
    assert seen == []


def test_a_graph_that_steps_for_ever_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    seal(folder, predict_onnx=hostile.endless(10**8))
    with pytest.raises(BundleError, match=r"predict.onnx: takes more than 0.5 seconds"):
        load(folder)


def test_memory_is_bounded_in_every_later_run_too(folder: Path) -> None:
    grown = graph(
        [NODE("Cast", ["x"], ["n"], to=TensorProto.INT64), NODE("ReduceMax", ["n"], ["largest"], keepdims=0),
         NODE("Reshape", ["largest", "line"], ["most"]), NODE("Expand", ["one", "most"], ["b"])],
        "b", one=np.array([1], np.float32), line=np.array([1]),
    )  # fmt: skip
    seal(folder, predict_onnx=grown)
    bundle = store.load(folder)
    predictor = Predictor(bundle, threads=1)
    rows = np.array([[1, 1, 1], [1, 1, 2]], np.float32)
    assert predictor.predict({"x": rows}).shape == (2,)
    before = resident()
    with pytest.raises(MemoryError, match="takes more than 512 MiB of memory"):
        predictor.predict({"x": rows * 2**30})
    assert resident() - before < 100e6
    assert predictor.predict({"x": rows}).shape == (2,)


def test_a_hard_link_is_a_file_like_any_other(folder: Path) -> None:
    os.link(folder / CARD, folder.parents[2] / "outside" / "card")
    assert load(folder).card == PAGE


def test_a_store_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder.parents[1])
    assert load(tmp_path / "link" / "tabular" / "1").card == PAGE


def test_a_class_may_be_called_anything_that_is_a_line(folder: Path) -> None:
    edit(folder, classes=["<script>alert(1)</script>", "../não, 👩‍🔬"])
    assert json.dumps(load(folder).manifest.classes)
