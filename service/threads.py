"""How many threads a run of a network is worth."""

import os
from time import perf_counter
from typing import Final

from models.bundle import Bundle
from models.cohort import estimate
from models.predictor import Predictor
from models.signature import InputError, encode
from service.examples import example_rows
from service.settings import Settings

_SAMPLES: Final = 100

_SHORT: Final = 0.0005
"""Seconds of a request's passes below which to wake more threads takes longer than they save."""


def predictor(bundle: Bundle, settings: Settings) -> Predictor:
    """Make the predictor of a bundle, with the threads that are set, or else with those that it is worth."""
    threads = settings.threads or max(1, _cores() // settings.workers)
    made = Predictor(bundle, threads, settings.default_seed)
    if settings.threads or threads == 1 or _seconds(made, settings.default_seed) > _SHORT:
        return made
    return Predictor(bundle, 1, settings.default_seed)


def _seconds(made: Predictor, seed: int) -> float:
    """Time an ordinary request of one row, at the second time; no time at all where its example fails."""
    start = perf_counter()
    try:
        inputs = encode(made.manifest.inputs, example_rows(made.manifest))
        for _ in range(2):
            start = perf_counter()
            estimate(made, {name: array[:1] for name, array in inputs.items()}, _SAMPLES, seed)
    except InputError:
        return 0.0
    return perf_counter() - start


def _cores() -> int:
    """Count the cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
