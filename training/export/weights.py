"""The files of a bundle's graphs, with their weights in one file."""

import hashlib
from collections.abc import Mapping

import onnx_ir as ir

from caveat.models.bundles.bundle import WEIGHTS
from caveat.training.errors import ExportError

_LIMIT = 2**31  # most bytes of one tensor
_ALIGNMENT = 64
_SMALL = 1024  # bytes; smaller tensors stay in the graph, since engines read shapes and constants at load


def to_files(graphs: Mapping[str, ir.Model]) -> dict[str, bytes]:
    """Serialise graphs by name; equal graphs give equal bytes.

    The weights go to one file for all graphs, which holds a tensor of several graphs once.

    Raises
    ------
    ExportError
        If a tensor is larger than ONNX Runtime allows.
    """
    files = {WEIGHTS: _weights(graphs)}
    for name, graph in graphs.items():
        files[name] = ir.to_proto(graph).SerializeToString(deterministic=True)
    return {name: content for name, content in files.items() if content}


def _weights(graphs: Mapping[str, ir.Model]) -> bytes:
    """Move the weights of graphs out of them, and give the content of their file."""
    parts: list[bytes] = []
    size = 0
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
                gap = bytes(-size % _ALIGNMENT)
                places[digest] = size + len(gap)
                parts += [gap, content]
                size += len(gap) + len(content)
            value.const_value = ir.ExternalTensor(
                WEIGHTS,
                places[digest],
                len(content),
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=name,
            )
    return b"".join(parts)


def _size(value: ir.Value) -> int:
    return 0 if value.const_value is None else int(value.const_value.nbytes)
