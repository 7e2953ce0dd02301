"""Passes with thinned weights have the same bits as passes with masks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from caveat.models.bundles.bundle import PASSES, Bundle, pack
from caveat.models.bundles.manifest import Site
from caveat.models.bundles.store import BUNDLED, find, load
from caveat.models.draws.cache import KEPT_PASSES
from caveat.models.draws.masks import Sampler, draw
from caveat.models.engines.onnx_runtime import OnnxRuntime
from caveat.models.estimates.cohort import Cohort
from caveat.models.graphs import structure, thinned
from caveat.models.graphs.protobuf import field, fields, part
from caveat.models.predictor import Predictor

DIGITS = load(find(BUNDLED / "digits"))
MEMORY = 2**30

Edit = Callable[[onnx.GraphProto], Any]


def site(units: int, rate: float = 0.3) -> Site:
    return Site(name="drop", kind="dropout", rate=rate, shape=("passes", 1, units))


def draws(units: int, passes: int, rate: float = 0.3) -> NDArray[np.float32]:
    return draw(site(units, rate), 0, 0, passes, {}, "stratified")


def head(units: int, classes: int, *, transposed: bool = True, softmax: bool = True) -> onnx.ModelProto:
    """Make the graph of a network with one hidden layer, in the form that the exporter writes."""
    values = np.random.default_rng([units, classes])
    last = values.normal(size=(classes, units)) / np.sqrt(units)
    constants: dict[str, NDArray[Any]] = {
        "W": values.normal(size=(units, 5)).astype(np.float32),
        "b": values.normal(size=units).astype(np.float32),
        "V": (last if transposed else last.T).astype(np.float32),
        "c": values.normal(size=classes).astype(np.float32),
        "apart": np.array([1, -1, units]),
        "together": np.array([-1, units]),
        "classes": np.array([classes]),
    }
    nodes = [
        helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
        helper.make_node("Shape", ["drop"], ["passes"], start=0, end=1),
        helper.make_node("Gemm", ["x", "W", "b"], ["linear"], transB=1, alpha=1.0, beta=1.0, transA=0),
        helper.make_node("Relu", ["linear"], ["hidden"]),
        helper.make_node("Reshape", ["hidden", "apart"], ["each"], allowzero=1),
        helper.make_node("Mul", ["each", "drop"], ["kept"]),
        helper.make_node("Reshape", ["kept", "together"], ["flat"], allowzero=1),
        helper.make_node("Gemm", ["flat", "V", "c"], ["logits"], transB=int(transposed)),
        *([helper.make_node("Softmax", ["logits"], ["answers"], axis=-1)] if softmax else []),
        helper.make_node("Concat", ["passes", "rows", "classes"], ["sizes"], axis=0),
        helper.make_node("Reshape", ["answers" if softmax else "logits", "sizes"], ["y"], allowzero=1),
    ]
    value = helper.make_tensor_value_info
    inputs = [
        value("x", TensorProto.FLOAT, ["rows", 5]),
        value("drop", TensorProto.FLOAT, ["passes", 1, units]),
    ]
    outputs = [value("y", TensorProto.FLOAT, ["passes", "rows", classes])]
    between = [value("kept", TensorProto.FLOAT, ["passes", "rows", units])]
    initializers = [numpy_helper.from_array(each, name) for name, each in constants.items()]
    made = helper.make_graph(nodes, "head", inputs, outputs, initializers, value_info=between)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def runs(content: bytes, threads: int = 1) -> OnnxRuntime:
    structure.check(content, {})
    onnx.checker.check_model(onnx.load_from_string(content))
    return OnnxRuntime(content, {}, threads, MEMORY)


@settings(max_examples=60, deadline=None)
@given(
    units=st.integers(1, 700),
    classes=st.integers(1, thinned.MOST_CLASSES),
    passes=st.integers(1, KEPT_PASSES),
    rate=st.sampled_from([0.1, 0.3, 0.5, 0.75]),
    rows=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    transposed=st.booleans(),
    softmax=st.booleans(),
    threads=st.sampled_from([1, 2]),
)
def test_every_bit_is_the_same(
    units: int,
    classes: int,
    passes: int,
    rate: float,
    rows: list[int],
    transposed: bool,
    softmax: bool,
    threads: int,
) -> None:
    content = head(units, classes, transposed=transposed, softmax=softmax).SerializeToString()
    drawn = draws(units, passes, rate)
    drawn[0] = np.where(drawn.any(axis=0), drawn[0], np.float32(1 / (1 - rate)))  # each unit is kept once
    made = thinned.thinned_graph(content, site(units, rate), drawn)
    assert made is not None
    plain, wide = runs(content, threads), runs(made, threads)
    assert set(wide.inputs) == {"x"}
    for count in rows:
        x = np.random.default_rng(count).normal(size=(count, 5)).astype(np.float32)
        expected = plain.run({"x": x, "drop": drawn})
        assert expected.shape == (passes, count, classes)
        found = np.ascontiguousarray(wide.run({"x": x}).swapaxes(0, 1))
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize("softmax", [True, False])
def test_a_row_that_overflows_has_no_finite_answer_with_masks_or_thinned(softmax: bool) -> None:
    content = head(8, 3, softmax=softmax).SerializeToString()
    drawn = draws(8, 20)
    made = thinned.thinned_graph(content, site(8), drawn)
    assert made is not None
    values = np.random.default_rng(0).uniform(-1, 1, (500, 5)).astype(np.float32)
    x = values * np.logspace(35, 38, len(values), dtype=np.float32)[:, None]
    with np.errstate(all="ignore"):
        expected = runs(content).run({"x": x, "drop": drawn})
        found = runs(made).run({"x": x}).swapaxes(0, 1)
        answered = np.isfinite(expected.astype(np.float64).mean(axis=0)).all(axis=-1)
        np.testing.assert_array_equal(
            np.isfinite(found.astype(np.float64).mean(axis=0)).all(axis=-1), answered
        )
    assert 0 < answered.sum() < len(x)
    np.testing.assert_array_equal(found[:, answered], expected[:, answered], strict=True)


def node(model: onnx.GraphProto, gives: str) -> onnx.NodeProto:
    return next(each for each in model.node if gives in each.output)


def constant(model: onnx.GraphProto, name: str, value: NDArray[Any]) -> None:
    old = next(each for each in model.initializer if each.name == name)
    old.CopyFrom(numpy_helper.from_array(value, name))


def elsewhere(model: onnx.GraphProto, name: str) -> None:
    """Mark a constant's values as stored in another file."""
    changed = next(each for each in model.initializer if each.name == name)
    changed.data_location = TensorProto.EXTERNAL


def attribute(gives: str, name: str, value: Any) -> Edit:
    def edit(model: onnx.GraphProto) -> None:
        changed = node(model, gives)
        kept = [each for each in changed.attribute if each.name != name]
        del changed.attribute[:]
        changed.attribute.extend([*kept, helper.make_attribute(name, value)])

    return edit


def takes(gives: str, *names: str) -> Edit:
    def edit(model: onnx.GraphProto) -> None:
        node(model, gives).input[:] = names

    return edit


def operator(gives: str, name: str) -> Edit:
    def edit(model: onnx.GraphProto) -> None:
        node(model, gives).op_type = name

    return edit


def also(gives: str, *names: str, operator: str = "Identity") -> Edit:
    return lambda model: model.node.append(helper.make_node(operator, names, [gives]))


def sized(model: onnx.GraphProto) -> None:
    """Make the rows depend on the number of masks."""
    also("of_masks", "drop", operator="Shape")(model)
    node(model, "hidden").op_type = "Reshape"
    node(model, "hidden").input.append("of_masks")


@pytest.mark.parametrize(
    "edit",
    [
        operator("kept", "Add"),
        operator("answers", "LogSoftmax"),
        operator("each", "Identity"),
        operator("flat", "Identity"),
        attribute("answers", "axis", 0),
        attribute("logits", "alpha", 2.0),
        attribute("logits", "beta", 0.5),
        attribute("logits", "transA", 1),
        takes("logits", "flat", "V"),
        takes("logits", "flat", "V", "passes"),
        takes("kept", "drop", "drop"),
        takes("hidden", "drop"),
        sized,
        also("elsewhere", "hidden", operator="Shape"),
        takes("flat", "kept", "sizes"),
        also("elsewhere", "drop"),
        also("elsewhere", "kept"),
        also("elsewhere", "logits"),
        lambda model: constant(model, "apart", np.array([-1, 1, 6])),
        lambda model: constant(model, "together", np.array([-1, 3])),
        lambda model: constant(model, "V", np.ones((4, 7), np.float32)),
        lambda model: constant(model, "V", np.ones((4, 6), np.float64)),
        lambda model: constant(model, "c", np.ones(1, np.float32)),
        lambda model: elsewhere(model, "V"),
        lambda model: model.output.append(helper.make_tensor_value_info("hidden", TensorProto.FLOAT, None)),
    ],
)
def test_a_network_of_another_form_is_not_thinned(edit: Edit) -> None:
    model = head(6, 4)
    assert thinned.thinned_graph(model.SerializeToString(), site(6), draws(6, 10)) is not None
    edit(model.graph)
    assert thinned.thinned_graph(model.SerializeToString(), site(6), draws(6, 10)) is None


def test_draws_of_another_form_or_size_are_not_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    content = head(6, 4).SerializeToString()
    assert thinned.thinned_graph(content, site(6), draws(6, 10)) is not None
    assert thinned.thinned_graph(content, site(6), draws(1, 10)) is None
    assert (
        thinned.thinned_graph(content, site(6).model_copy(update={"law": "bernoulli"}), draws(6, 10)) is None
    )
    assert thinned.thinned_graph(head(6, 13).SerializeToString(), site(6), draws(6, 10)) is None
    monkeypatch.setattr(thinned, "MOST_WEIGHTS", 239)
    assert thinned.thinned_graph(content, site(6), draws(6, 10)) is None


def test_draws_that_never_keep_a_unit_are_not_thinned() -> None:
    drawn = draws(6, 10)
    drawn[:, 0, 2] = 0
    assert thinned.thinned_graph(head(6, 4).SerializeToString(), site(6), drawn) is None


def test_a_node_with_an_unnamed_output_ends_the_path() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "drop"], ["kept"]),
        helper.make_node("LSTM", ["kept", "W", "R", "", "", "h"], ["", "y"], hidden_size=2),
    ]
    value = helper.make_tensor_value_info
    shapes: dict[str, list[int]] = {"W": [1, 8, 3], "R": [1, 8, 2], "h": [1, 2, 2]}
    constants = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in shapes.items()]
    inputs = [value("x", TensorProto.FLOAT, [5, 2, 3]), value("drop", TensorProto.FLOAT, ["passes", 1, 3])]
    made = helper.make_graph(nodes, "g", inputs, [value("y", TensorProto.FLOAT, None)], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    runs_unchecked = OnnxRuntime(model.SerializeToString(), {}, 1, MEMORY)
    assert runs_unchecked.inputs
    assert thinned.thinned_graph(model.SerializeToString(), site(3), draws(3, 10)) is None


PLAIN = Predictor(DIGITS, threads=1, kept_seed=0)


def rows(count: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    return {"image": np.random.default_rng(seed).uniform(0, 16, (count, 8, 8)).astype(np.float32)}


def thin(bundle: Bundle = DIGITS) -> Predictor:
    predictor = Predictor(bundle, threads=1, kept_seed=0)
    predictor.thin(bundle, rows(2))
    return predictor


def assert_same_as_plain(predictor: Predictor) -> None:
    expected = PLAIN.some_passes(rows(5), 0, "stratified", 0, 100)
    np.testing.assert_array_equal(
        predictor.some_passes(rows(5), 0, "stratified", 0, 100), expected, strict=True
    )


@pytest.mark.parametrize(
    ("seed", "sampler", "start", "stop", "thinned_passes"),
    [
        (0, "stratified", 0, 100, True),
        (1, "stratified", 0, 100, False),
        (0, "independent", 0, 100, False),
        (0, "stratified", 0, 99, False),
        (0, "stratified", 100, 200, False),
    ],
)
def test_the_default_passes_run_with_thinned_weights(
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    sampler: Sampler,
    start: int,
    stop: int,
    thinned_passes: bool,
) -> None:
    predictor = thin()
    expected = PLAIN.some_passes(rows(5), seed, sampler, start, stop)
    with_draws: list[Any] = []
    run = Predictor.run_passes

    def counted(*of: Any) -> Any:
        with_draws.append(of)
        return run(*of)

    monkeypatch.setattr(Predictor, "run_passes", counted)
    found = predictor.some_passes(rows(5), seed, sampler, start, stop)
    np.testing.assert_array_equal(found, expected, strict=True)
    assert len(with_draws) == (0 if thinned_passes else 1)


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.sampled_from([2, 30, 99, 100, 101, 250]), min_size=1, max_size=20))
def test_a_row_has_the_same_bits_beside_rows_that_get_other_passes(counts: list[int]) -> None:
    predictor = thin()
    samples = np.array(counts)
    together = answers(predictor, rows(len(counts)), samples)
    for i in range(len(counts)):
        row = {name: array[i : i + 1] for name, array in rows(len(counts)).items()}
        for each in (predictor, PLAIN):
            for name, column in answers(each, row, samples[i : i + 1]).items():
                np.testing.assert_array_equal(together[name][i : i + 1], column, strict=True)


def answers(
    predictor: Predictor, inputs: dict[str, NDArray[np.float32]], samples: NDArray[np.intp]
) -> dict[str, NDArray[Any]]:
    cohort = Cohort(predictor, inputs, 0, "stratified", samples, np.zeros(len(samples)))
    found: dict[str, NDArray[Any]] = {}
    while len(cohort.rows):
        places, columns = cohort.step()
        for name, column in columns.items():
            found.setdefault(name, np.zeros((len(samples), *column.shape[1:]), column.dtype))[places] = column
    return found


def test_thinned_weights_that_change_a_bit_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly(content: bytes, place: Site, drawn: NDArray[np.float32]) -> bytes | None:
        return thinned.thinned_graph(content, place, drawn * np.float32(1 + 1e-6))

    monkeypatch.setattr("caveat.models.predictor.thinned_graph", nearly)
    assert_same_as_plain(thin())


def test_a_difference_that_the_example_does_not_show_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of zeros, the example of a bundle that states none, would hide the difference."""

    def other_weights(content: bytes, place: Site, drawn: NDArray[np.float32]) -> bytes | None:
        made = thinned.thinned_graph(content, place, drawn)
        assert made is not None
        model = onnx.load_from_string(made)
        first = next(each for each in model.graph.initializer if each.name.endswith("hidden1.weight"))
        first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first) * np.float32(1.01), first.name))
        return model.SerializeToString()

    monkeypatch.setattr("caveat.models.predictor.thinned_graph", other_weights)
    predictor = Predictor(DIGITS, threads=1, kept_seed=0)
    predictor.thin(DIGITS, {"image": np.zeros((2, 8, 8), np.float32)})
    assert_same_as_plain(predictor)


@pytest.mark.parametrize("extra", [b"\x08\x01", b"\x7b\x7c", b"\x15\x00\x00\x00\x00"])
def test_a_file_that_no_exporter_writes_is_not_thinned(extra: bytes) -> None:
    """Engines ignore unknown fields in an input."""
    whole = list(fields(memoryview(DIGITS.files[PASSES])))
    (inside,) = (value for number, value in whole if number == 7)
    parts = [
        field(number, bytes(part(value)) + extra if number == 11 else value)
        for number, value in fields(part(inside))
    ]
    around = [field(number, value) for number, value in whole if number != 7]
    odd = pack(DIGITS.manifest, {**DIGITS.files, PASSES: b"".join([*around, field(7, b"".join(parts))])})
    assert_same_as_plain(thin(odd))


def test_a_site_may_have_a_size_that_is_arithmetic() -> None:
    (place,) = DIGITS.manifest.sites
    written = place.model_copy(update={"shape": (*place.shape[:-1], f"{place.shape[-1]}*1")})
    bundle = pack(DIGITS.manifest.model_copy(update={"sites": (written,)}), DIGITS.files)
    assert_same_as_plain(thin(bundle))


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_that_an_engine_loads_is_thinned_or_left_alone(changes: list[tuple[int, int]]) -> None:
    content = bytearray(head(6, 4).SerializeToString())
    for place, byte in changes:
        content[place % len(content)] = byte
    try:
        structure.check(bytes(content), {})
        OnnxRuntime(bytes(content), {}, 1, MEMORY)
    except Exception:  # the engines' errors have no other base class
        return
    made = thinned.thinned_graph(bytes(content), site(6), draws(6, 10))
    if made is not None:
        structure.check(made, {})
