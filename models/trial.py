"""A first run of a bundle, on its example, before it serves requests."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.bundle import MANIFEST, PASSES, PREDICT, BundleError
from caveat.models.bundles.example import subject
from caveat.models.bundles.signature import encode
from caveat.models.engines.deadline import Deadline
from caveat.models.errors import InputError
from caveat.models.graphs.memory import check_row
from caveat.models.predictor import OutputError, Predictor
from caveat.models.tasks.task import Task

SECONDS: Final = 20.0
"""Timeout of a first run, which usually takes milliseconds."""

_ROWS: Final = 2
_PASSES: Final = 2


def try_out(predictor: Predictor, rows: Any) -> None:
    """Run both graphs of a bundle, and check their outputs.

    Parameters
    ----------
    predictor
        Predictor of the bundle.
    rows
        The ``inputs`` of a request, as a client writes them.

    Raises
    ------
    BundleError
        If the rows do not fit the signature, would take too much memory, a graph can't run on them or takes
        more time or memory than is allowed, or the outputs differ from the manifest or are not finite.
    """
    manifest = predictor.manifest
    place = f"{manifest.name}/{manifest.version}"
    try:
        inputs = {name: array[:_ROWS] for name, array in encode(manifest.inputs, rows).items()}
    except InputError as error:
        raise BundleError(f"{place}/{MANIFEST}: its example does not fit its inputs: {error}") from None
    try:
        check_row(manifest, predictor.sizes(inputs))
    except ValueError as error:
        raise BundleError(f"{place}/{MANIFEST}: {error}") from None
    count = len(next(iter(inputs.values())))
    shape = (count, *map(int, manifest.output[1:]))
    runs: dict[str, tuple[Callable[[], NDArray[np.floating]], tuple[Any, ...]]] = {
        PREDICT: (
            lambda: predictor.predict(inputs),
            predictor.task.point(np.broadcast_to(np.float32(0), shape)).shape,
        ),
        PASSES: (lambda: predictor.some_passes(inputs, 0, "independent", 0, _PASSES), (_PASSES, *shape)),
    }
    for file, (run, expected) in runs.items():
        outputs = _run(predictor, run, f"{place}/{file}")
        if outputs is not None:
            _check(outputs, expected, predictor.task, f"{place}/{file}", _words(predictor))


def _run(
    predictor: Predictor, run: Callable[[], NDArray[np.floating]], place: str
) -> NDArray[np.floating] | None:
    """Run a graph; None if the bundle states no example, and the graph can't run on the made-up one."""
    try:
        with Deadline().until(perf_counter() + SECONDS):
            return run()
    except Exception as error:  # the engines' errors have no other base class
        cause = error.__cause__ if isinstance(error, InputError) and error.__cause__ else error
        if isinstance(error, TimeoutError):
            reason = f"takes more than {SECONDS:g} seconds"
        elif isinstance(cause, MemoryError):
            reason = str(cause) or "takes more memory than this machine has"
        elif isinstance(cause, OutputError):
            reason = str(cause)
        elif isinstance(error, InputError) and _may_be_the_rows(predictor):
            return None
        else:
            reason = f"can't run on {_words(predictor)}: {str(cause).partition(chr(10))[0]}"
        raise BundleError(f"{place}: {reason}") from None


def _may_be_the_rows(predictor: Predictor) -> bool:
    """Tell whether a failure may be due to rows that are made up: their sizes and integers are a guess."""
    manifest = predictor.manifest
    guessed = manifest.free_sizes or any(spec.dtype == "int64" for spec in manifest.inputs)
    return bool(guessed) and predictor.example is manifest.example is None


def _words(predictor: Predictor) -> str:
    return subject(predictor.manifest, predictor.example)


def _check(
    outputs: NDArray[np.floating], expected: tuple[Any, ...], task: Task, place: str, rows: str
) -> None:
    if outputs.shape != expected or outputs.dtype.kind != "f":
        raise BundleError(
            f"{place}: gives {outputs.dtype} of shape {outputs.shape}; the manifest says numbers of shape "
            f"{expected}"
        )
    if not np.isfinite(outputs).all():
        raise BundleError(f"{place}: gives numbers that are not finite on {rows}")
    try:
        task.check_outputs(outputs)
    except ValueError as error:
        raise BundleError(f"{place}: {error}, on {rows}") from None
