"""Runs a graph with ONNX Runtime."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import cache
from threading import Lock
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs
from caveat.models.engines.engine import Type
from caveat.models.errors import CaveatError

CPU: Final = "CPUExecutionProvider"

_CUDA: Final = "CUDAExecutionProvider"

_OPTIONS: Final = {_CUDA: {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}
"""What providers are told: to round no products to 10 bits, and not to try out, for every number of rows
that comes together, which way of convolving is fastest."""

_ALLOCATOR: Final = ort.OrtMemoryInfo(
    "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
)

_MAKING: Final = Lock()

_OUT_OF_MEMORY: Final = ("Available memory of", "Failed to allocate memory", "bad allocation", "bad_alloc")
"""What ONNX Runtime's errors say of memory; it has no kind of its own for them."""

_SMALL: Final = 2**16

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
    memory
        Bytes that its runs may take; weights are not counted.
    providers
        Names of execution providers, the preferred one first.

    Raises
    ------
    CaveatError
        If this installation does not have the providers.
    """

    def __init__(
        self,
        graph: bytes,
        weights: Mapping[str, bytes],
        threads: int,
        memory: int,
        providers: Sequence[str] = (CPU,),
    ) -> None:
        self._memory = memory
        self._options = ort.RunOptions()
        self._options.log_severity_level = 4  # what fails in a run is raised
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Threads that wait for work shall not take the cores from those that have some, as other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Else a small file could ask for any amount of memory to compute constants in, ahead of all runs.
        size = len(graph) + sum(map(len, weights.values())) + _SMALL
        options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(size))
        if weights:  # handed over as the bytes that were verified; no path is followed
            lengths = [len(content) for content in weights.values()]
            options.add_external_initializers_from_files_in_memory(
                list(weights), list(weights.values()), lengths
            )
        _refuse_unknown(providers)
        if _CUDA in providers:
            _find_libraries()
        with _MAKING:  # a session takes the allocator that was registered last: one of its own
            ort.create_and_register_allocator(_ALLOCATOR, ort.OrtArenaCfg({"max_mem": memory}))
            chosen = [(provider, _OPTIONS.get(provider, {})) for provider in providers]
            self._session = ort.InferenceSession(graph, options, providers=chosen)
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
        """Run it.

        Raises
        ------
        MemoryError
            If that takes more memory than it may.
        """
        try:
            output: NDArray[np.floating] = self._session.run(None, dict(feed), self._options)[0]
        except Exception as error:  # its own kinds have no base but this
            if any(words in str(error) for words in _OUT_OF_MEMORY):
                raise MemoryError(f"takes more than {self._memory / 2**20:,.0f} MiB of memory") from None
            raise
        return output

    def stop(self) -> None:
        """End its runs, also those that are asked for later."""
        self._options.terminate = True


@cache
def _find_libraries() -> None:
    """Load CUDA's libraries, which may have come as packages, where no loader looks for them."""
    with redirect_stdout(sys.stderr):
        ort.preload_dlls()


def _refuse_unknown(providers: Sequence[str]) -> None:
    there = ort.get_available_providers()
    for provider in providers:
        if provider not in there:
            raise CaveatError(
                f"ONNX Runtime has no {provider} here; it has {', '.join(there)} "
                "(CUDAExecutionProvider comes with the package onnxruntime-gpu)"
            )
