"""Attempts to verify, load and warm up one bundle of a store."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from caveat.models.bundles import store
from caveat.models.bundles.bundle import IncompleteError
from caveat.models.predictor import Predictor
from caveat.service.desk.versions import predictors
from caveat.service.desk.versions.catalogue import Failure
from caveat.service.settings import Settings


@dataclass(frozen=True)
class Attempt:
    """The result of loading a version of a model, and the seconds that it took."""

    name: str
    version: int
    result: Predictor | Failure
    seconds: float


def attempt(folder: Path, settings: Settings) -> Attempt:
    """Load a bundle; any error becomes a `Failure`."""
    start = perf_counter()
    result: Predictor | Failure
    try:
        result = predictors.predictor(store.load_version(folder), settings)
        predictors.warm_up(result, settings.default_seed)
    except Exception as error:  # a bad version must not stop the others
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        told = reason.encode(errors="backslashreplace").decode()  # a file name may not be valid UTF-8
        result = Failure(told, isinstance(error, IncompleteError))
    return Attempt(folder.parent.name, int(folder.name), result, perf_counter() - start)
