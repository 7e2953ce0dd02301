"""What could end the process on some values is refused; what can't is accepted."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import ArrayLike
from onnx import TensorProto, defs, helper

from caveat.models.graphs import structure
from caveat.models.graphs.scope import NEWEST_OPSET, OF_ANOTHER_INPUT, OF_NO_INPUT, OF_ONE_TYPE
from tests.models.damage.graphs import NODE

Node = onnx.NodeProto

INT64, INT32, FLOAT = TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT


def info(name: str, kind: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, None)


def constant(name: str, value: ArrayLike, kind: type = np.int64) -> Node:
    return NODE("Constant", [], [name], value=onnx.numpy_helper.from_array(np.asarray(value, kind)))


def made(nodes: Sequence[Node], kind: int = INT64, **changes: Any) -> bytes:
    """Make a graph of the inputs ``a`` and ``b`` and of the output ``y``."""
    graph = helper.make_graph(
        list(nodes), "g", [info("a", kind), info("b", kind)], [onnx.ValueInfoProto(name="y")], **changes
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def refused(content: bytes) -> str:
    with pytest.raises(ValueError) as refusal:
        structure.check(content, {})
    return str(refusal.value)


def body(nodes: Sequence[Node], output: str, inputs: Sequence[onnx.ValueInfoProto] = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "body", inputs, [onnx.ValueInfoProto(name=output)])


DIVIDE = NODE("Div", ["a", "b"], ["y"])
ONE, MINUS_ONE = constant("one", 1), constant("minus one", -1)
EQUAL = NODE("Equal", ["b", "minus one"], ["inverse"])
SAFE = NODE("Where", ["inverse", "one", "b"], ["safe"])
GUARDED = [ONE, MINUS_ONE, EQUAL, SAFE, NODE("Div", ["a", "safe"], ["y"])]


def test_a_division_that_is_refused_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(made([DIVIDE]))
    program = (
        "import numpy, onnxruntime, sys; session = onnxruntime.InferenceSession(sys.argv[1]); "
        "session.run(None, {'a': numpy.array([-(2**63)]), 'b': numpy.array([-1])})"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path / "graph.onnx"], timeout=120)
    assert ended.returncode == -signal.SIGFPE


@pytest.mark.parametrize("kind", [INT64, INT32])
@pytest.mark.parametrize(
    "nodes",
    [
        [DIVIDE],
        [NODE("Mod", ["a", "b"], ["y"])],
        [NODE("Mod", ["a", "b"], ["y"], fmod=1)],
        [NODE("Identity", ["b"], ["same"]), NODE("Div", ["a", "same"], ["y"])],
        [DIVIDE, NODE("Div", ["a", "late"], ["z"]), NODE("Abs", ["b"], ["late"])],
        [NODE("If", ["yes"], ["y"], then_branch=body([NODE("Div", ["a", "b"], ["q"])], "q"))],
    ],
    ids=["Div", "Mod", "fmod", "Identity", "before its divisor", "in a branch"],
)
def test_a_division_by_what_a_request_sends_is_refused(nodes: list[Node], kind: int) -> None:
    assert "divides integers by what may be -1, with " in refused(made(nodes, kind))


@pytest.mark.parametrize(
    "divisor",
    [
        [constant("d", -1)],
        [constant("d", [3, -1, 5])],
        [NODE("Constant", [], ["d"], value_int=-1)],
        [NODE("Constant", [], ["d"], value=helper.make_tensor("", INT64, [1], [3]))],
        [constant("d", 3), NODE("Neg", ["d"], ["d"])],
    ],
    ids=["-1", "-1 among others", "an integer", "not as bytes", "named twice"],
)
def test_a_constant_divisor_is_looked_at(divisor: list[Node]) -> None:
    refused(made([*divisor, NODE("Div", ["a", "d"], ["y"])]))


@pytest.mark.parametrize(
    "changed",
    [
        {0: constant("one", -1)},
        {0: NODE("Identity", ["a"], ["one"])},
        {1: constant("minus one", -2)},
        {1: constant("minus one", [-1, 3])},
        {1: NODE("Identity", ["a"], ["minus one"])},
        {2: NODE("Equal", ["a", "minus one"], ["inverse"])},
        {2: NODE("Equal", ["b", "b"], ["inverse"])},
        {2: NODE("Less", ["b", "minus one"], ["inverse"])},
        {3: NODE("Where", ["inverse", "b", "one"], ["safe"])},
        {3: NODE("Where", ["inverse", "one", "a"], ["safe"])},
        {3: NODE("Mul", ["one", "b"], ["safe"])},
    ],
)
def test_what_only_looks_like_a_guard_is_none(changed: dict[int, Node]) -> None:
    nodes = [changed.get(index, node) for index, node in enumerate(GUARDED)]
    assert "divides integers by what may be -1" in refused(made(nodes))


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        (GUARDED, INT64),
        ([ONE, MINUS_ONE, NODE("Equal", ["minus one", "b"], ["inverse"]), *GUARDED[3:]], INT64),
        ([constant("d", [[3, 0], [-2, 7]]), NODE("Div", ["a", "d"], ["y"])], INT64),
        ([constant("d", 60, np.int32), NODE("Mod", ["a", "d"], ["y"])], INT32),
        ([DIVIDE], FLOAT),
        ([DIVIDE], TensorProto.DOUBLE),
        ([DIVIDE], TensorProto.UINT8),
        ([DIVIDE], TensorProto.INT8),
        ([NODE("Cast", ["a"], ["x"], to=FLOAT), NODE("Div", ["x", "x"], ["y"])], INT64),
        ([NODE("MatMul", ["a", "b"], ["x"]), NODE("Sqrt", ["x"], ["r"]), NODE("Div", ["x", "r"], ["y"])], 1),
        ([NODE("If", ["yes"], ["q"], then_branch=body([NODE("Div", ["a", "b"], ["z"])], "z")), DIVIDE], 1),
    ],
)  # fmt: skip
def test_a_division_that_can_never_trap_is_accepted(nodes: list[Node], kind: int) -> None:
    structure.check(made(nodes, kind), {})


def test_a_guard_around_a_branch_holds_within_it() -> None:
    inner = body([NODE("Div", ["a", "safe"], ["q"])], "q")
    structure.check(made([*GUARDED[:4], NODE("If", ["yes"], ["y"], then_branch=inner)]), {})


def test_a_name_within_a_branch_can_hide_none_around_it() -> None:
    hidden = body([constant("q", 1), NODE("Identity", ["a"], ["safe"])], "q")
    message = refused(made([*GUARDED, NODE("If", ["yes"], ["z"], then_branch=hidden)]))
    assert message == "gives the name 'safe' to two values"


def test_a_default_value_of_an_input_is_no_constant() -> None:
    weights = [onnx.numpy_helper.from_array(np.array(3), "b")]
    assert "to two values" in refused(made([DIVIDE], initializer=weights))


def test_a_name_stands_for_one_initializer() -> None:
    weights = [onnx.numpy_helper.from_array(np.array(number), "d") for number in (3, -1)]
    assert refused(made([NODE("Div", ["a", "d"], ["y"])], initializer=weights)) == "gives 'd' twice"


def scanned(stated: int) -> bytes:
    inner = body([NODE("Div", ["x", "x"], ["q"])], "q", [info("x", stated)])
    return made([NODE("Scan", ["a"], ["y"], body=inner, num_scan_inputs=1)])


def test_what_a_body_states_of_its_inputs_is_the_truth() -> None:
    structure.check(scanned(FLOAT), {})
    with pytest.raises(Exception, match="Type"):
        onnxruntime.InferenceSession(scanned(FLOAT))
    refused(scanned(INT64))
    refused(scanned(0))


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (NODE("RoiAlign", ["a", "b", "i"], ["y"]), "looks into regions"),
        (NODE("Unique", ["a"], ["y"], axis=0), "finds unique slices"),
        (NODE("STFT", ["a", "b"], ["y"]), "takes spectra of windows or steps"),
        (NODE("STFT", ["a", "one", "", "b"], ["y"]), "takes spectra of windows or steps"),
        (NODE("STFT", ["a", "minus one"], ["y"]), "takes spectra of windows or steps"),
        (NODE("GatherND", ["a", "b"], ["y"], batch_dims=-1), "has batch axes that"),
        (NODE("GatherND", ["a", "b"], ["y"], batch_dims=2**62), "has batch axes that"),
        (NODE("MaxPool", ["a"], ["y"], kernel_shape=[2, 2**31]), "has windows that"),
        (NODE("AveragePool", ["a"], ["y"], kernel_shape=[0]), "has windows that"),
        (NODE("LpPool", ["a"], ["y"], kernel_shape=[-1]), "has windows that"),
        (
            NODE("Resize", ["a", "b", "", "s"], ["y"], coordinate_transformation_mode="tf_crop_and_resize"),
            "crops",
        ),
    ],
)
def test_an_operator_that_traps_is_refused(node: Node, words: str) -> None:
    message = refused(made([ONE, MINUS_ONE, node], FLOAT))
    assert message.startswith(words)
    assert message.endswith(f", with {node.op_type}, which can end the process")


def test_half_floats_are_not_normalized() -> None:
    normalize = NODE("InstanceNormalization", ["a", "b", "b"], ["y"])
    structure.check(made([normalize], FLOAT), {})
    assert "normalizes what is not float32" in refused(made([normalize], TensorProto.FLOAT16))


@pytest.mark.parametrize(
    "node",
    [
        NODE("STFT", ["a", "one", "b", "one"], ["y"]),
        NODE("GatherND", ["a", "b"], ["y"], batch_dims=1),
        NODE("MaxPool", ["a"], ["y"], kernel_shape=[3, 3]),
        NODE("Unique", ["a"], ["y"]),
        NODE("Resize", ["a", "", "b"], ["y"]),
    ],
)
def test_the_same_operators_with_sound_operands_are_accepted(node: Node) -> None:
    structure.check(made([ONE, node], FLOAT), {})


def test_text_is_not_made_of_numbers() -> None:
    assert "works on text, with Cast" in refused(made([NODE("Cast", ["a"], ["y"], to=TensorProto.STRING)]))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (b"\x22\x03Add", "names two operators in one node"),
        (onnx.NodeProto(attribute=[helper.make_attribute("to", 1)]).SerializeToString(), "gives 'to' twice"),
        (b"\x2a\x08\x0a\x02at\x18\x01\x18\x02", "gives two values to the attribute at"),
    ],
    ids=["operator", "attribute", "value"],
)
def test_what_parsers_may_read_in_two_ways_is_refused(more: bytes, words: str) -> None:
    assert refused(_with_node(NODE("Cast", ["a"], ["y"], to=1).SerializeToString() + more)) == words


def _with_node(node: bytes) -> bytes:
    """Append a node to a graph, byte by byte: a parser of messages would join its fields."""
    graph = onnx.ModelProto.FromString(made([])).graph.SerializeToString()
    graph += b"\x0a" + bytes([len(node)]) + node
    return b"\x3a" + bytes([len(graph) & 0x7F | 0x80, len(graph) >> 7]) + graph


def test_the_types_of_outputs_are_those_of_every_version_of_every_operator() -> None:
    schemas = [schema for schema in defs.get_all_schemas_with_history() if not schema.domain]
    assert {schema.name for schema in schemas} >= {*OF_NO_INPUT, *OF_ANOTHER_INPUT, *OF_ONE_TYPE}
    assert max(schema.since_version for schema in schemas) <= NEWEST_OPSET
    apart = {"Cast", "Constant", "ConstantOfShape", "If", "Scan"} | OF_NO_INPUT
    for schema in schemas:
        if schema.name in apart or not schema.outputs:
            continue
        source = schema.inputs[OF_ANOTHER_INPUT.get(schema.name, 0)]
        followed = schema.outputs if schema.name in OF_ONE_TYPE else schema.outputs[:1]
        for output in followed:
            assert _element(schema, output) == _element(schema, source), schema.name
            assert output.is_homogeneous, schema.name


def _element(schema: Any, value: Any) -> set[str]:
    """List the types of elements that a parameter may have, under the name of what decides them."""
    sequences = {"SequenceAt", "SequenceConstruct", "ConcatFromSequence", "SplitToSequence"}
    if schema.name not in sequences:
        return {value.type_str}
    return {each.removeprefix("seq(").rstrip(")") + ")" for each in value.types}
