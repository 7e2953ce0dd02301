"""Bundles with something wrong, and a way to see that nothing outside of them is read."""

import ctypes
import hashlib
import io
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.bundle import MANIFEST

Constants = Mapping[str, Any]


def manifest(folder: Path) -> Any:
    return json.loads((folder / MANIFEST).read_text())


def edit(folder: Path, **changes: Any) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest(folder) | changes))


def seal(folder: Path, **files: bytes) -> None:
    """Put files into a bundle so that its digests hold; a name has _ for its dot."""
    listed = manifest(folder)["files"]
    for key, content in files.items():
        name = key.replace("_", ".")
        (folder / name).write_bytes(content)
        listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(folder, files=listed)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Constants = {},
    tensors: Sequence[onnx.TensorProto] = (),
    opset: int = 20,
    output: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Make a graph from ``x`` (rows, 3) to ``y``, of any shape."""
    named = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        list(nodes),
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", output, None)],
        [*named, *tensors],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def sum_of(*names: str) -> list[onnx.NodeProto]:
    """Add all values up to one for each row: an answer of the right shape."""
    totals = [
        helper.make_node("ReduceSum", [name], [f"{name} total"], keepdims=0) for name in names if name != "x"
    ]
    return [
        *totals,
        helper.make_node("ReduceSum", ["x", "axis 1"], ["row"], keepdims=0),
        helper.make_node("Sum", ["row", *(f"{name} total" for name in names if name != "x")], ["y"]),
    ]


AXIS = {"axis 1": np.array([1])}


def graph(nodes: Sequence[onnx.NodeProto], *made: str, **constants: Any) -> bytes:
    """Make a graph whose answer takes up the values that ``nodes`` make."""
    content: bytes = model([*nodes, *sum_of("x", *made)], AXIS | constants).SerializeToString()
    return content


def apart(location: str | None, name: str = "w", inside: str = "initializer", **entries: str) -> bytes:
    """Make a graph that takes three numbers from elsewhere."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "12", **entries}.items():
        if value:
            tensor.external_data.add(key=key, value=value)
    if inside == "initializer":
        made = model(sum_of("x", "w"), AXIS, [tensor])
    elif inside == "constant":
        made = model([helper.make_node("Constant", [], ["w"], value=tensor), *sum_of("x", "w")], AXIS)
    else:
        body = helper.make_graph(
            [helper.make_node("Identity", ["w"], ["w out"])],
            "body",
            [],
            [helper.make_tensor_value_info("w out", TensorProto.FLOAT, [3])],
            [tensor],
        )
        branch = helper.make_node("If", ["yes"], ["w"], then_branch=body, else_branch=body)
        made = model([branch, *sum_of("x", "w")], AXIS | {"yes": np.array(True)})
    content: bytes = made.SerializeToString()
    return content


def endless(steps: int) -> bytes:
    """Make a graph that steps through as many values as could be, one by one."""
    shape = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Add", ["state", "step"], ["next"])],
        "body",
        [shape("state", TensorProto.FLOAT, []), shape("step", TensorProto.FLOAT, [])],
        [shape("next", TensorProto.FLOAT, [])],
    )
    return graph(
        [
            helper.make_node("Expand", ["one", "steps"], ["many"]),
            helper.make_node("Scan", ["zero", "many"], ["end"], body=body, num_scan_inputs=1),
        ],
        "end",
        one=np.float32(1),
        zero=np.float32(0),
        steps=np.array([steps]),
    )


def loop() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["still"]), helper.make_node("Identity", ["in"], ["out"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, None),
        ],
    )
    return graph([helper.make_node("Loop", ["", "yes", "x"], ["end"], body=body)], "end", yes=np.array(True))


def nested(depth: int) -> bytes:
    """Make a graph in which branches stand in branches."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["out 0"])],
        "body",
        [],
        [helper.make_tensor_value_info("out 0", TensorProto.FLOAT, None)],
    )
    for level in range(1, depth):
        branch = helper.make_node("If", ["yes"], [f"out {level}"], then_branch=body, else_branch=body)
        out = helper.make_tensor_value_info(f"out {level}", TensorProto.FLOAT, None)
        body = helper.make_graph([branch], "body", [], [out])
    last = helper.make_node("If", ["yes"], ["end"], then_branch=body, else_branch=body)
    return graph([last], "end", yes=np.array(True))


def arrays(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=True, **columns)
    return buffer.getvalue()


_OPEN, _ACCESS = 0x20, 0x1
_EVENT = struct.Struct("iIII")


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Note which files of a folder anybody opens or reads, in whatever way; the kernel tells."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert libc.inotify_add_watch(descriptor, os.fsencode(folder), _OPEN | _ACCESS) >= 0
    seen: list[str] = []
    try:
        yield seen
        try:
            events = os.read(descriptor, 2**16)
        except BlockingIOError:
            events = b""
        while events:
            *_, length = _EVENT.unpack_from(events)
            seen.append(events[_EVENT.size : _EVENT.size + length].rstrip(b"\0").decode())
            events = events[_EVENT.size + length :]
    finally:
        os.close(descriptor)
