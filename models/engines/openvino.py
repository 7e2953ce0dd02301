"""Runs a graph with OpenVINO in bfloat16, on the CPU's matrix units if it has any."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.shared import Content
from caveat.models.bundles.signature import Inputs
from caveat.models.engines.deadline import current
from caveat.models.engines.engine import Type
from caveat.models.errors import CaveatError

_GRAPH: Final = "graph.onnx"

_TYPES: Final = {"f32": "float32", "f64": "float64", "i64": "int64", "u8": "uint8"}

UNCHECKED: Final = frozenset({"GatherND", "ScatterElements"})
"""Operators that read or write outside of their arrays, wherever an index says."""


class OpenVino:
    """A graph compiled by OpenVINO for bfloat16.

    Parameters
    ----------
    graph, files, threads
        See `caveat.models.engines.onnx_runtime.OnnxRuntime`.

    Raises
    ------
    CaveatError
        If OpenVINO is not installed, or this CPU has no bfloat16.
    """

    def __init__(self, graph: bytes, files: Mapping[str, Content], threads: int) -> None:
        try:
            import openvino
        except ImportError:
            raise CaveatError(
                "bfloat16 needs OpenVINO: pip install '.[bfloat16]' in Caveat's folder"
            ) from None
        core = openvino.Core()
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            name = core.get_property("CPU", "FULL_DEVICE_NAME")
            raise CaveatError(
                f"this CPU ({name}) does not compute in bfloat16; leave the precision at float32"
            )
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        with TemporaryDirectory(prefix="caveat-") as folder:  # OpenVINO reads files of weights by path
            for name, content in {**files, _GRAPH: graph}.items():
                (Path(folder) / name).write_bytes(content)
            self._compiled = core.compile_model(Path(folder) / _GRAPH, "CPU", settings)
        self._request = self._compiled.create_infer_request()
        self._lock = Lock()  # a request is for one thread at a time

    @property
    def inputs(self) -> dict[str, Type]:
        """Types of the graph's inputs, by name."""
        return {
            port.any_name: (
                _TYPES.get(port.element_type.get_type_name(), str(port.element_type)),
                len(port.partial_shape),
            )
            for port in self._compiled.inputs
        }

    @property
    def outputs(self) -> list[list[Any]]:
        """Shapes of the graph's outputs; a size that is not fixed is text."""
        return [
            [size.get_length() if size.is_static else str(size) for size in port.partial_shape]
            for port in self._compiled.outputs
        ]

    def run(self, feed: Inputs) -> NDArray[np.floating]:
        """Run the graph and give its first output; TimeoutError if the run is not over by the deadline."""
        deadline, run = current(), _Run(self._request)
        with self._lock:
            if deadline is not None:
                deadline.begin(run)
            try:
                output: NDArray[np.floating] = self._request.infer(dict(feed), share_inputs=True)[0]
            except Exception:  # OpenVINO's errors have no other base class
                if run.terminate:
                    raise TimeoutError("the run took too long") from None
                raise
            finally:
                if deadline is not None:
                    deadline.end()
            return output


class _Run:
    """A run that a deadline can end, as those of ONNX Runtime."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._terminate = False

    @property
    def terminate(self) -> bool:
        return self._terminate

    @terminate.setter
    def terminate(self, value: bool) -> None:
        self._terminate = value
        self._request.cancel()
