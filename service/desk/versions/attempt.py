"""Attempts to try, load and warm up one bundle of a store."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from caveat.models.bundles import store
from caveat.models.bundles.bundle import IncompleteError
from caveat.models.engines.deadline import Deadline
from caveat.models.errors import described
from caveat.models.predictor import Predictor
from caveat.service.desk.versions import predictors
from caveat.service.desk.versions.catalogue import Failure
from caveat.service.desk.versions.trials import Trials
from caveat.service.settings import Settings

_WARM_UP: Final = 20.0
"""Seconds for the first runs in the service, which repeat those of the trial."""


@dataclass(frozen=True)
class Attempt:
    """The result of loading a version of a model, and the seconds that it took."""

    name: str
    version: int
    result: Predictor | Failure
    seconds: float


def attempt(folder: Path, settings: Settings, trials: Trials) -> Attempt:
    """Try, load and warm up a bundle; any error becomes a `Failure`."""
    start = perf_counter()
    result: Predictor | Failure
    try:
        identity = trials.try_out(folder)
        bundle = store.load_version(folder)
        if bundle.manifest.identity != identity:
            raise IncompleteError(f"{folder}: changes while it is loaded")
        with Deadline().until(perf_counter() + _WARM_UP):
            result = predictors.predictor(bundle, settings)
            predictors.warm_up(result, settings.default_seed)
    except TimeoutError:
        result = Failure(
            f"{folder.parent.name}/{folder.name}: takes more than {_WARM_UP:g} seconds to warm up"
        )
    except Exception as error:  # a bad version must not stop the others
        # A file name may not be valid UTF-8.
        told = described(error).encode(errors="backslashreplace").decode()
        result = Failure(told, isinstance(error, IncompleteError))
    return Attempt(folder.parent.name, int(folder.name), result, perf_counter() - start)
