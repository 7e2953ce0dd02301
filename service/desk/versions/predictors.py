"""Makes the predictors of bundles, and chooses their threads and precision."""

import math
from contextlib import suppress
from time import perf_counter
from typing import Final

import numpy as np

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.example import example_rows
from caveat.models.bundles.signature import Inputs, encode
from caveat.models.draws.pieces import cores
from caveat.models.errors import InputError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.models.trial import try_out
from caveat.service.desk.monitoring import log
from caveat.service.settings import Settings

_SAMPLES: Final = 100

_SHORT: Final = 0.0005
"""Seconds of a request's passes up to which waking more threads costs more time than it saves."""

_TOLERATED: Final = 0.1
"""Error that a precision may add to a mean, in Monte Carlo standard errors at 100 passes."""


def predictor(bundle: Bundle, settings: Settings) -> Predictor:
    """Make the predictor of a bundle, with the threads that are set or, without a setting, the best number.

    A network whose means a lower precision changes by more than `_TOLERATED` runs in float32, and its
    answers say so.
    """
    threads = settings.threads or max(1, cores() // settings.workers)
    exact, made = _made(bundle, threads, settings)
    if not settings.threads and threads > 1 and _seconds(made) <= _SHORT:
        exact, made = _made(bundle, 1, settings)
    if settings.precision == "float32":
        return made
    error = _rounding(made, exact)
    if error <= _TOLERATED:
        return made
    manifest = bundle.manifest
    log.event(
        "precision_refused",
        f"{manifest.name} {manifest.version} runs in float32: {settings.precision} would change"
        f" the mean of its example by {error:.2f} standard errors; {_TOLERATED} is tolerated",
        "warning",
        model=manifest.name,
        version=manifest.version,
    )
    return exact


def warm_up(made: Predictor, seed: int) -> None:
    """Run a model's example through both graphs, so that the first client waits no longer than others."""
    with np.errstate(all="ignore"), suppress(InputError):  # a made-up example may not fit
        inputs = _example(made)
        made.predict(inputs)
        estimate(made, inputs, _of_one_run(made, inputs), seed, sampler="stratified")


def _made(bundle: Bundle, threads: int, settings: Settings) -> tuple[Predictor, Predictor]:
    """Make a predictor in float32, and one in the precision of the settings."""
    exact = Predictor(bundle, threads, settings.default_seed, providers=settings.providers)
    try_out(exact, example_rows(exact.manifest, exact.example))
    if settings.precision == "float32":
        return exact, exact
    return exact, Predictor(bundle, threads, settings.default_seed, settings.precision)


def _seconds(made: Predictor) -> float:
    """Time the second of two ordinary requests of one row, or of the passes of one run if these are fewer.

    Returns
    -------
    float
        Seconds; 0 where the example fails.
    """
    start = perf_counter()
    try:
        row = {name: array[:1] for name, array in _example(made).items()}
        for _ in range(2):
            start = perf_counter()
            estimate(made, row, _of_one_run(made, row), seed=0, sampler="independent")
    except InputError:
        return 0.0
    return perf_counter() - start


def _of_one_run(made: Predictor, inputs: Inputs) -> int:
    """Give the passes of an ordinary request, or as many as one run of a large network holds."""
    return max(2, min(_SAMPLES, made.passes_at_once(inputs)))


def _rounding(rounded: Predictor, exact: Predictor) -> float:
    """Compute how far a precision moves the means of the example, in standard errors.

    This is a ratio of root mean squares over rows and outputs. Outputs with units of their own each
    have their own ratio, and the largest counts. Infinite where the example fails or has no spread.
    """
    try:
        answers = [_answer(made, _example(made)) for made in (rounded, exact)]
    except InputError:
        return math.inf
    first, second = (answer["mean"].astype(np.float64) for answer in answers)
    axis = 0 if exact.task.own_units else None
    spread = np.square(answers[1]["standard_error"], dtype=np.float64).mean(axis=axis)
    error = np.square(first - second).mean(axis=axis)
    return float(np.sqrt((error / spread).max())) if spread.all() else math.inf


def _example(made: Predictor) -> Inputs:
    return encode(made.manifest.inputs, example_rows(made.manifest, made.example))


def _answer(made: Predictor, inputs: Inputs) -> Columns:
    return estimate(made, inputs, _SAMPLES, seed=0, sampler="independent")
