"""Runs a graph with ONNX Runtime."""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import cache
from threading import Lock
from time import monotonic
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from caveat.models.bundles.files import BundleError
from caveat.models.bundles.shared import LARGE, Content, SharedFile
from caveat.models.bundles.signature import Inputs
from caveat.models.engines.deadline import current
from caveat.models.engines.engine import Type
from caveat.models.errors import CaveatError
from caveat.models.graphs.weight import Weight

CPU: Final = "CPUExecutionProvider"

_CUDA: Final = "CUDAExecutionProvider"

_OPTIONS: Final = {_CUDA: {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}
"""Options of the providers. CUDA computes products in full float32, not in TF32 with its 10 bits, and does
not time the convolution algorithms anew for every number of rows."""

_ALLOCATOR: Final = ort.OrtMemoryInfo(
    "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
)

_CREATION: Final = Lock()

_OUT_OF_MEMORY: Final = ("Available memory of", "Failed to allocate memory", "bad allocation", "bad_alloc")
"""Texts of ONNX Runtime's errors for a lack of memory, which have no class of their own."""

_SMALL: Final = 2**16

_SHRINK: Final = ("memory.enable_memory_arena_shrinkage", "cpu:0")
"""Makes a run return the memory that no run needs as it ends; else what the largest ever took would stay."""

_EVERY: Final = 10.0
"""Seconds between two such runs, after which the next one takes its memory anew."""

_SLOWER: Final = ("SkipLayerNormFusion",)
"""Fusions that make a run on the CPU slower: that of a sum with the layer norm behind it by 3 to 20 %."""

_FOLDER: Final = "session.model_external_initializers_file_folder_path"

_TYPES: Final = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
}


class OnnxRuntime:
    """A graph in a session of ONNX Runtime.

    Parameters
    ----------
    graph
        Bytes of an ONNX file.
    weights
        The tensors of the graph that lie in a file of weights.
    files
        Content of these files, by the name that the graph uses for a file.
    threads
        Threads that one run may use; 0 takes one per core.
    memory
        Bytes that the runs may take, without the weights.
    providers
        Names of execution providers, the preferred one first.

    Raises
    ------
    CaveatError
        If a provider is missing from this installation, or does not start.
    """

    def __init__(
        self,
        graph: bytes,
        weights: Sequence[Weight],
        files: Mapping[str, Content],
        threads: int,
        memory: int,
        providers: Sequence[str] = (CPU,),
    ) -> None:
        self._memory = memory
        self._shrink_at = monotonic() + _EVERY
        self._spare: list[ort.RunOptions] = []  # making them for each run takes longer than the checks of it
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Threads that wait for work must not spin on cores that busy threads need, also of other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Without this limit, a small file could take any amount of memory for constants as it is loaded.
        size = sum(map(len, files.values()))
        if size >= LARGE:
            # Packing weights for the matrix products copies them in every session. Without, passes take 4 %
            # longer: see "Memory" in docs/performance.md.
            options.add_session_config_entry("session.disable_prepacking", "1")
        size += len(graph) + _SMALL
        options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(size))
        shared = [content for content in files.values() if isinstance(content, SharedFile)]
        self._weights: dict[str, ort.OrtValue] = {}
        if shared:
            # On the CPU, runs use the weights where they lie. What the session computes from them as it is
            # made, and what it copies to another device, it reads from the same file.
            options.add_session_config_entry(_FOLDER, str(shared[0].path.parent))
            self._weights = _in_place(weights, files) if providers[0] == CPU else {}
            for name, value in self._weights.items():
                options.add_initializer(name, value)
        elif files:  # as the bytes that were verified, so that ONNX Runtime follows no path
            lengths = [len(content) for content in files.values()]
            options.add_external_initializers_from_files_in_memory(list(files), list(files.values()), lengths)
        _refuse_unknown(providers)
        if _CUDA in providers:
            _find_libraries()
        chosen = [(provider, _OPTIONS.get(provider, {})) for provider in providers]
        disabled = _SLOWER if providers[0] == CPU else None
        with _CREATION:  # a session takes the allocator registered last: here one of its own
            ort.create_and_register_allocator(_ALLOCATOR, ort.OrtArenaCfg({"max_mem": memory}))
            self._session = ort.InferenceSession(
                graph, options, providers=chosen, disabled_optimizers=disabled
            )
        for file in shared:
            if file.changed:
                raise BundleError(f"{file.path}: changes while it is read")
        if self._session.get_providers()[0] != providers[0]:  # ONNX Runtime only logs this failure
            raise CaveatError(f"{providers[0]} does not start on this machine; see ONNX Runtime's log")

    @property
    def inputs(self) -> dict[str, Type]:
        """Types of the graph's inputs, by name."""
        return {
            value.name: (_TYPES.get(value.type, value.type), len(value.shape))
            for value in self._session.get_inputs()
        }

    @property
    def outputs(self) -> list[list[Any]]:
        """Shapes of the graph's outputs."""
        return [value.shape for value in self._session.get_outputs()]

    def run(self, feed: Inputs) -> NDArray[np.floating]:
        """Run the graph and give its first output.

        Raises
        ------
        MemoryError
            If the run takes more memory than is allowed.
        TimeoutError
            If the run is not over by the deadline.
        """
        now = monotonic()
        if shrinks := now >= self._shrink_at:
            self._shrink_at = now + _EVERY
            options = _options()
            options.add_run_config_entry(*_SHRINK)
        else:
            options = self._spare.pop() if self._spare else _options()
        deadline = current()
        if deadline is not None:
            deadline.begin(options)
        try:
            output: NDArray[np.floating] = self._session.run(None, dict(feed), options)[0]
        except Exception as error:  # ONNX Runtime's errors have no other base class
            if options.terminate:
                raise TimeoutError("the run took too long") from None
            if any(words in str(error) for words in _OUT_OF_MEMORY):
                raise MemoryError(f"takes more than {self._memory / 2**20:,.0f} MiB of memory") from None
            raise
        finally:
            if deadline is not None:
                deadline.end()
            if not (options.terminate or shrinks):
                self._spare.append(options)
        return output


def _options() -> ort.RunOptions:
    options = ort.RunOptions()
    options.log_severity_level = 4  # a failure of a run is raised, so that no log is needed
    return options


def _in_place(weights: Sequence[Weight], files: Mapping[str, Content]) -> dict[str, ort.OrtValue]:
    """Make a value of each weight, without a copy."""
    return {
        weight.name: ort.OrtValue.ortvalue_from_numpy(
            np.frombuffer(files[weight.file], weight.dtype, math.prod(weight.shape), weight.offset).reshape(
                weight.shape
            )
        )
        for weight in weights
    }


@cache
def _find_libraries() -> None:
    """Load CUDA's libraries, which may be installed as Python packages, outside the loader's paths."""
    with redirect_stdout(sys.stderr):
        ort.preload_dlls()


def _refuse_unknown(providers: Sequence[str]) -> None:
    available = ort.get_available_providers()
    for provider in providers:
        if provider not in available:
            raise CaveatError(
                f"ONNX Runtime has no {provider} here; it has {', '.join(available)} "
                "(CUDAExecutionProvider comes with the package onnxruntime-gpu)"
            )
