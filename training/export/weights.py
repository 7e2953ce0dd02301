"""The files of a bundle's graphs, with weights inside, or in a separate file if they are large."""

import hashlib
from collections.abc import Mapping

import onnx_ir as ir

from caveat.training.errors import ExportError

WEIGHTS = "weights.bin"

LARGE = 2**29
"""Bytes of weights from which on they go to a separate file: a protobuf holds at most 2 GiB."""

_LIMIT = 2**31  # most bytes of one tensor
_ALIGNMENT = 64
_SMALL = 1024  # bytes; smaller tensors stay in the graph, since engines read shapes and constants at load


def to_files(graphs: Mapping[str, ir.Model], large: int = LARGE) -> dict[str, bytes]:
    """Serialise graphs by name; equal graphs give equal bytes.

    Weights of ``large`` bytes or more go to one separate file for all graphs, which holds a tensor of
    several graphs once.

    Raises
    ------
    ExportError
        If a tensor is larger than ONNX Runtime allows.
    """
    files: dict[str, bytes] = {}
    if sum(_size(value) for graph in graphs.values() for value in graph.graph.initializers.values()) >= large:
        files[WEIGHTS] = _separate_weights(graphs)
    for name, graph in graphs.items():
        files[name] = ir.to_proto(graph).SerializeToString(deterministic=True)
    return files


def _separate_weights(graphs: Mapping[str, ir.Model]) -> bytes:
    weights = bytearray()
    places: dict[bytes, int] = {}
    for graph in graphs.values():
        for name, value in graph.graph.initializers.items():
            tensor = value.const_value
            if tensor is None or _size(value) < _SMALL:
                continue
            if _size(value) >= _LIMIT:
                raise ExportError(
                    f"{name} alone holds {_size(value) / 2**30:.1f} GiB; ONNX Runtime takes 2 GiB per "
                    "tensor. Split the layer in two"
                )
            content = tensor.tobytes()
            digest = hashlib.sha256(content).digest()
            if digest not in places:
                weights += bytes(-len(weights) % _ALIGNMENT)
                places[digest] = len(weights)
                weights += content
            value.const_value = ir.ExternalTensor(
                WEIGHTS,
                places[digest],
                len(content),
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=name,
            )
    return bytes(weights)


def _size(value: ir.Value) -> int:
    return 0 if value.const_value is None else int(value.const_value.nbytes)
