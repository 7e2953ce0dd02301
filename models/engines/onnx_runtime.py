"""Runs a graph with ONNX Runtime."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.engines.engine import Type
from models.errors import CaveatError
from models.signature import Inputs

CPU: Final = "CPUExecutionProvider"

_TYPES: Final = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}


class OnnxRuntime:
    """A graph in a session of ONNX Runtime.

    Parameters
    ----------
    graph
        Bytes of an ONNX file.
    weights
        Those that stand apart from it, by the name that the graph has for them.
    threads
        That one run may use; 0 takes one per core.
    providers
        Names of execution providers, the preferred one first.

    Raises
    ------
    CaveatError
        If this installation does not have the providers.
    """

    def __init__(
        self, graph: bytes, weights: Mapping[str, bytes], threads: int, providers: Sequence[str] = (CPU,)
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Threads that wait for work shall not take the cores from those that have some, as other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if weights:  # handed over as the bytes that were verified; no path is followed
            lengths = [len(content) for content in weights.values()]
            options.add_external_initializers_from_files_in_memory(
                list(weights), list(weights.values()), lengths
            )
        _refuse_unknown(providers)
        self._session = ort.InferenceSession(graph, options, providers=list(providers))
        if self._session.get_providers()[0] != providers[0]:  # which ONNX Runtime only logs
            raise CaveatError(f"{providers[0]} does not start on this machine; ONNX Runtime's log says more")

    @property
    def inputs(self) -> dict[str, Type]:
        """What the graph takes, by name."""
        return {
            value.name: (_TYPES.get(value.type, value.type), len(value.shape))
            for value in self._session.get_inputs()
        }

    @property
    def outputs(self) -> list[list[Any]]:
        """Shapes of what it gives."""
        return [value.shape for value in self._session.get_outputs()]

    def run(self, feed: Inputs) -> NDArray[np.floating]:
        """Run it."""
        output: NDArray[np.floating] = self._session.run(None, dict(feed))[0]
        return output


def _refuse_unknown(providers: Sequence[str]) -> None:
    there = ort.get_available_providers()
    for provider in providers:
        if provider not in there:
            raise CaveatError(
                f"ONNX Runtime has no {provider} here; it has {', '.join(there)} "
                "(CUDAExecutionProvider comes with the package onnxruntime-gpu)"
            )
