"""Runs the graphs of a bundle."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles import example
from caveat.models.bundles.bundle import CARD, MANIFEST, PASSES, PREDICT, WEIGHTS, Bundle, BundleError
from caveat.models.bundles.example import Rows
from caveat.models.bundles.manifest import EXAMPLE, Manifest, Site
from caveat.models.bundles.signature import Inputs, encode, sizes
from caveat.models.draws.cache import DrawCache
from caveat.models.draws.masks import Sampler
from caveat.models.draws.pieces import cores
from caveat.models.engines.engine import Engine, Precision, Type
from caveat.models.engines.onnx_runtime import CPU, OnnxRuntime
from caveat.models.engines.openvino import UNCHECKED, OpenVino
from caveat.models.errors import CaveatError, InputError
from caveat.models.graphs.memory import allowed, check_cost, values_held
from caveat.models.graphs.structure import check
from caveat.models.tasks import calibration_file, tasks
from caveat.models.tasks.calibration import Calibration
from caveat.models.tasks.task import Task

WORKING_SET: Final = 2**22
"""Float32 values (16 MiB) that a run on the CPU may hold; larger work is cut into several runs."""

_LARGEST_FACTOR: Final = 4
"""Factor on `WORKING_SET` up to which a run of a model with many weights may hold half as many values as it
has weights: each run fetches all of them, a tenth of the time of a pass over a row of text."""

_GPU_FACTOR: Final = 16
"""Factor on `WORKING_SET` for runs outside the CPU: on a GPU, larger runs are faster."""


class OutputError(ValueError):
    """An output of another shape than the manifest states."""


class Predictor:
    """The two graphs of a bundle, ready to run from any thread.

    Parameters
    ----------
    bundle
        A verified bundle.
    threads
        Threads that one run may use; 0 takes one per core.
    kept_seed
        A seed that many requests share: its draws are made once and kept.
    precision
        Format in which products are computed.
    providers
        ONNX Runtime's execution providers for float32, the preferred one first.

    Raises
    ------
    BundleError
        If a graph can't be run, or its inputs and outputs differ from the manifest.
    CaveatError
        If this machine lacks what the precision or a provider needs.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 0,
        kept_seed: int | None = None,
        precision: Precision = "float32",
        providers: Sequence[str] = (CPU,),
    ) -> None:
        self.manifest: Manifest = bundle.manifest
        _check_cost(self.manifest)
        self.precision: Precision = precision
        self.task: Task = tasks.of(bundle.manifest)
        self.calibration: Calibration | None = _calibration(self.task, bundle)
        self.example: Rows | None = kept_example(bundle)
        self.card = bytes(bundle.files[CARD]) if CARD in bundle.files else None
        self._on_cpu = providers[0] == CPU
        self._shape = tuple(map(int, self.manifest.output[1:]))
        manifest = bundle.manifest  # the cache must not keep the bundle's files
        self._held = lru_cache(lambda *chosen: values_held(manifest, dict(chosen)))
        self._chooses = bool(manifest.free_sizes)
        self._weights = len(bundle.files.get(WEIGHTS, b"")) // 4
        self._predict = _engine(bundle, PREDICT, threads, precision, providers)
        self._passes = _engine(bundle, PASSES, threads, precision, providers)
        self._draws = DrawCache(self.manifest.sites, kept_seed, threads or cores())
        self._check(self._predict, PREDICT, sites=())
        self._check(self._passes, PASSES, self.manifest.sites)

    @property
    def working_set(self) -> int:
        """Float32 values that a run may hold."""
        if not self._on_cpu:
            return _GPU_FACTOR * WORKING_SET
        return min(max(WORKING_SET, self._weights // 2), _LARGEST_FACTOR * WORKING_SET)

    def encode(self, rows: object) -> Inputs:
        """Turn rows into one array per input of the graphs.

        Parameters
        ----------
        rows
            As a client writes them, or as arrays: those of the only input, or of each input by its name.

        Raises
        ------
        InputError
            If they do not fit the model; the message names the first row and field that does not.
        """
        return encode(self.manifest.inputs, rows)

    def predict(self, inputs: Inputs) -> NDArray[np.floating]:
        """Answer without dropout.

        Returns
        -------
        NDArray
            Probabilities in float32, shape (B, C); or values in float64 in the target's units, shape (B,), or
            (B, T) for T targets.
        """
        at_once = self.rows_at_once(inputs, samples=1)
        if _rows(inputs) <= at_once:
            return self.task.point(self._predict_block(inputs))
        blocks = [self._predict_block(block) for block in row_blocks(inputs, at_once)]
        return self.task.point(np.concatenate(blocks))

    def _predict_block(self, inputs: Inputs) -> NDArray[np.floating]:
        filled = self._filled(inputs)
        return self._run(self._predict, filled, (_rows(filled), *self._shape))[: _rows(inputs)]

    def _filled(self, inputs: Inputs) -> Inputs:
        """Repeat the last row up to the least number of rows of a run; see `Manifest.least_rows`."""
        missing = self.manifest.least_rows - _rows(inputs)
        if missing <= 0:
            return inputs
        return {name: np.concatenate([array, *[array[-1:]] * missing]) for name, array in inputs.items()}

    def sizes(self, inputs: Inputs) -> dict[str, int]:
        """Collect the sizes that a request chose, by name."""
        return sizes(self.manifest.inputs, inputs) if self._chooses else {}

    def rows_at_once(self, inputs: Inputs, samples: int) -> int:
        """Give the number of rows that fit a run of ``samples`` passes, at least one."""
        return max(1, self.working_set // self.row_load(inputs, samples))

    def row_load(self, inputs: Inputs, samples: int) -> int:
        """Count the float32 values that a run of ``samples`` passes holds for one row."""
        row, row_pass, _ = self._cost(inputs)
        return row + samples * row_pass

    def passes_at_once(self, inputs: Inputs) -> int:
        """Give the number of passes over these rows that fit a run, at least one.

        What comes before the first dropout is computed once per row in every run. If it alone holds more
        values than the working set, as in a large network, the passes of a run may hold as many again, so
        that there are fewer runs.
        """
        row, row_pass, mask = self._cost(inputs)
        rows = _rows(inputs)
        return max(1, max(self.working_set, rows * row) // (rows * row_pass + mask))

    def _cost(self, inputs: Inputs) -> tuple[int, int, int]:
        return self._held(*self.sizes(inputs).items())

    def passes(
        self, inputs: Inputs, samples: int, seed: int, sampler: Sampler = "independent"
    ) -> Iterator[NDArray[np.floating]]:
        """Run the network ``samples`` times, in chunks of bounded memory.

        Yields
        ------
        NDArray
            Outputs of the next n passes, shape (n, B, ...). Their bits do not depend on the chunks.
        """
        chunk = self.passes_at_once(inputs)
        for start in range(0, samples, chunk):
            yield self.some_passes(inputs, seed, sampler, start, min(start + chunk, samples))

    def some_passes(
        self, inputs: Inputs, seed: int, sampler: Sampler, start: int, stop: int
    ) -> NDArray[np.floating]:
        """Make the passes ``start`` to ``stop`` (exclusive) in one run.

        Parameters
        ----------
        inputs
            B rows.
        seed, sampler
            Seed and sampler; with the site and the number of the pass they decide every draw.

        Returns
        -------
        NDArray
            Shape (stop - start, B, ...).
        """
        filled = self._filled(inputs)
        draws = self._draws.make(seed, sampler, start, stop, self.sizes(inputs))
        return self.run_passes({**filled, **draws})[:, : _rows(inputs)]

    def run_passes(self, inputs_and_draws: Inputs) -> NDArray[np.floating]:
        """Run passes with draws that the caller made, N for each site; give (N, B, ...)."""
        passes = len(inputs_and_draws[self.manifest.sites[0].name])
        rows = len(inputs_and_draws[self.manifest.inputs[0].name])
        return self._run(self._passes, inputs_and_draws, (passes, rows, *self._shape))

    def _check(self, engine: Engine, file: str, sites: tuple[Site, ...]) -> None:
        """Refuse a graph that would fail on every request."""
        manifest, place = self.manifest, _place(self.manifest, file)
        stated: dict[str, Type] = {spec.name: (spec.dtype, len(spec.shape)) for spec in manifest.inputs}
        stated |= {site.name: (site.dtype, len(site.shape)) for site in sites}
        found = engine.inputs
        for name in sorted(stated.keys() | found.keys()):
            if stated.get(name) != found.get(name):
                raise BundleError(
                    f"{place}: input {name!r} is {_words(found.get(name))}; in the manifest it is "
                    f"{_words(stated.get(name))}"
                )
        (shape, *others) = engine.outputs
        if others:
            raise BundleError(f"{place}: has {1 + len(others)} outputs; expected one")
        try:
            self.task.check_graph(shape)
        except ValueError as error:
            raise BundleError(f"{place}: {error}") from None

    def _run(self, engine: Engine, feed: Inputs, shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Run a graph, whose output must have this shape: what its shape says, its values may break."""
        try:
            output = engine.run(feed)
            if output.shape != shape:
                given = f"{output.dtype} of shape {output.shape}"
                raise OutputError(f"gives {given}; the manifest says numbers of shape {shape}")
            return output
        except TimeoutError:
            raise
        except Exception as error:  # the engines' errors have no other base class
            chosen = self.sizes(feed)
            integers = any(spec.dtype == "int64" for spec in self.manifest.inputs)
            if not (chosen or integers or self._on_cpu):  # a GPU may fail for a reason of its own
                raise
            expected = "sizes and indices" if chosen or integers else "values"
            got = " and ".join(f"a {name} of {size}" for name, size in chosen.items())
            got = got or ("other integers" if integers else "other values")
            if isinstance(error, MemoryError):
                got += f", which {error}"
            raise InputError("inputs", f"{expected} that the network can run on", got) from error


def _check_cost(manifest: Manifest) -> None:
    try:
        check_cost(manifest)
    except ValueError as error:
        raise BundleError(f"{_place(manifest, MANIFEST)}: {error}") from None


def row_blocks(inputs: Inputs, rows: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Cut inputs into blocks of at most ``rows`` rows."""
    for start in range(0, _rows(inputs), rows):
        yield {name: array[start : start + rows] for name, array in inputs.items()}


def _rows(inputs: Inputs) -> int:
    return len(next(iter(inputs.values())))


def _engine(
    bundle: Bundle, file: str, threads: int, precision: Precision, providers: Sequence[str]
) -> Engine:
    graph = bytes(bundle.files[file])
    files = {name: content for name, content in bundle.files.items() if name == WEIGHTS}
    unchecked = UNCHECKED if precision == "bfloat16" else ()
    try:
        weights = check(graph, {name: len(content) for name, content in files.items()}, unchecked)
    except ValueError as error:
        raise BundleError(f"{_place(bundle.manifest, file)}: the graph {error}") from None
    try:
        if precision == "bfloat16":
            return OpenVino(graph, files, threads)
        return OnnxRuntime(graph, weights, files, threads, allowed(bundle.manifest), providers)
    except CaveatError:
        raise
    except Exception as error:  # the engines' errors have no other base class
        reason = str(error).partition("\n")[0]
        name = "OpenVINO" if precision == "bfloat16" else "ONNX Runtime"
        raise BundleError(f"{_place(bundle.manifest, file)}: {name} can't load it: {reason}") from None


def _calibration(task: Task, bundle: Bundle) -> Calibration | None:
    if bundle.manifest.calibration is None:
        return None
    try:
        return calibration_file.read(task, bytes(bundle.files[calibration_file.FILE]))
    except Exception as error:  # NumPy's errors for malformed arrays have no other base class
        place = _place(bundle.manifest, calibration_file.FILE)
        raise BundleError(f"{place}: not the arrays of a calibration: {error}") from None


def kept_example(bundle: Bundle) -> Rows | None:
    """Read the example of a bundle whose rows are too long for its manifest; None if it has none.

    Raises
    ------
    BundleError
        If the file is not one of arrays.
    """
    if EXAMPLE not in bundle.files:
        return None
    try:
        return example.read(bundle.manifest.inputs, bytes(bundle.files[EXAMPLE]))
    except Exception as error:  # NumPy's errors for malformed arrays have no other base class
        place = _place(bundle.manifest, EXAMPLE)
        raise BundleError(f"{place}: not the arrays of an example: {error}") from None


def _place(manifest: Manifest, file: str) -> str:
    return f"{manifest.name}/{manifest.version}/{file}"


def _words(value: Type | None) -> str:
    return "missing" if value is None else f"a {value[0]} with {value[1]} axes"
