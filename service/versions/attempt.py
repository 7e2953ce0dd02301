"""One bundle of a store, verified, loaded and warmed up, or the reason why not."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from caveat.models.bundles import store
from caveat.models.bundles.bundle import IncompleteError
from caveat.models.predictor import Predictor
from caveat.service.settings import Settings
from caveat.service.versions import predictors
from caveat.service.versions.catalogue import Failure


@dataclass(frozen=True)
class Attempt:
    """What came of loading a version of a model."""

    name: str
    version: int
    result: Predictor | Failure
    seconds: float


def attempt(folder: Path, settings: Settings) -> Attempt:
    """Load a bundle; whatever is wrong with it is a `Failure`."""
    start = perf_counter()
    result: Predictor | Failure
    try:
        result = predictors.predictor(store.load_version(folder), settings)
        predictors.warm_up(result, settings.default_seed)
    except Exception as error:  # a version that is not served shall not end those that are
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        told = reason.encode(errors="backslashreplace").decode()  # names of files may be no text
        result = Failure(told, isinstance(error, IncompleteError))
    return Attempt(folder.parent.name, int(folder.name), result, perf_counter() - start)
