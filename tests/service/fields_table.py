"""Every optional field of ``/predict/uncertainty``, with values to try and the refusals that are due."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.models_table import CALIBRATION_ROWS, Model


def _always(_: Model) -> None:
    return None


@dataclass(frozen=True)
class Option:
    """A field with a value, and the fields that go with it.

    Parameters
    ----------
    asked
        Gives the fields of a request to a model.
    refused
        Gives the ``where`` of the 422 that a model answers; None if the model supports the option.
    """

    asked: Callable[[Model], dict[str, Any]]
    refused: Callable[[Model], str | None] = _always


def _with(refused: Callable[[Model], str | None] = _always, /, **asked: Any) -> Option:
    """Ask for fixed values."""
    return Option(lambda _: asked, refused)


def _at(where: str) -> Callable[[Model], str]:
    return lambda _: where


def _uncalibrated(where: str) -> Callable[[Model], str | None]:
    return lambda model: None if model.calibrated else where


def _errors(model: Model) -> dict[str, Any]:
    return {"max_error": model.max_error, "error_tolerance": model.error}


def _errors_of_other_targets(model: Model) -> dict[str, Any]:
    wrong = [1.0] * ((model.targets or 1) + 1)
    return {"max_error": model.max_error, "error_tolerance": wrong}


NOTHING = _with()
"""A request without any optional field."""

FIELDS: Mapping[str, list[Option]] = {
    "samples": [_with(samples=2), _with(samples=130)],
    "seed": [_with(seed="random"), _with(seed=2**53 - 1)],
    "sampler": [_with(sampler="stratified"), _with(sampler="independent")],
    "tolerance": [
        _with(tolerance=None),
        _with(tolerance=1e-9),
        Option(lambda model: {"tolerance": model.tolerance, "samples": 400}),
    ],
    "coverage": [
        _with(coverage=None),
        _with(_uncalibrated("coverage"), coverage=0.9),
        _with(_at("coverage"), coverage=1 - 0.5 / CALIBRATION_ROWS),
    ],
    "max_error": [
        _with(max_error=None),
        Option(
            lambda model: {"max_error": model.max_error},
            lambda model: _uncalibrated("max_error")(model) if model.classifies else "error_tolerance",
        ),
    ],
    "error_tolerance": [
        _with(error_tolerance=None),
        Option(lambda model: {"error_tolerance": model.error}, _at("max_error")),
        Option(
            _errors,
            lambda model: "error_tolerance" if model.classifies else _uncalibrated("max_error")(model),
        ),
        Option(_errors_of_other_targets, _at("error_tolerance")),
    ],
    "quantiles": [
        _with(quantiles=[]),
        _with(lambda model: "quantiles" if model.classifies else None, quantiles=[0.975, 0.5, 0.025]),
    ],
}


def all_supported(model: Model) -> dict[str, Any]:
    """Ask for all fields that a model supports, with the last value that it supports of each."""
    asked: dict[str, Any] = {}
    for options in FIELDS.values():
        for option in options:
            if option.refused(model) is None:
                asked |= option.asked(model)
    return {name: value for name, value in asked.items() if value not in (None, [])}


TOGETHER = Option(all_supported)
"""A request with all fields that the model supports."""
