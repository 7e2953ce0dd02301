"""Answers to the rows to judge on: with passes, without them, and with what was calibrated."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models import calibration
from models.bundle import Bundle
from models.cohort import estimate
from models.errors import CaveatError
from models.predictor import Predictor
from models.signature import Inputs
from models.temperature import tempered
from models.uncertainty import Columns
from training.calibrate import calibrate
from training.calibrate.temperature import most_likely_temperature

COVERAGES: Final = (0.8, 0.9, 0.95, 0.99)

ONCE, ONCE_CALIBRATED = "once", "once_calibrated"
"""What the pass without dropout says, and how unsure it is with what was fitted on other rows: its
probabilities at a temperature, or the variance of its residuals."""


def answers(
    bundle: Bundle, inputs: Inputs, y: NDArray[Any], samples: int, seed: int, crossed: bool
) -> Columns:
    """Answer all rows; what is fitted for one half of them is fitted on the other.

    Returns
    -------
    Columns
        Those of `models.cohort.estimate`; `ONCE` and `ONCE_CALIBRATED`; and what was calibrated, by
        coverage: `held_name`.

    Raises
    ------
    CaveatError
        If an answer is not finite.
    """
    order = np.random.default_rng(0).permutation(len(y))
    halves = np.array_split(order, 2)
    parts = [
        _half(bundle, inputs, y, half, other, samples, seed, crossed)
        for half, other in (halves, halves[::-1])
    ]
    places = np.argsort(np.concatenate(halves))
    names = parts[0].keys() & parts[1].keys()
    found = {
        name: np.concatenate([part[name] for part in parts])[places] for name in parts[0] if name in names
    }
    for name, column in found.items():
        if not np.isfinite(column).all():
            raise CaveatError(f"the {name} is not finite on these rows")
    return found


def held_name(coverage: float) -> str:
    """Name the column of what is held at a coverage."""
    return f"held_{coverage:g}"


def same_rows(bundle: Bundle, y: NDArray[Any], answer: Columns) -> bool:
    """Tell whether these are the rows that the bundle was calibrated on."""
    if bundle.manifest.calibration is None:
        return False
    with np.load(io.BytesIO(bundle.files[calibration.FILE]), allow_pickle=False) as arrays:
        truth, mean = arrays[calibration.TRUTH], arrays["mean"]
    return truth.shape == y.shape and np.array_equal(truth, y) and np.allclose(mean, answer["mean"], atol=0.1)


def _half(
    bundle: Bundle,
    inputs: Inputs,
    y: NDArray[Any],
    half: NDArray[np.intp],
    other: NDArray[np.intp],
    samples: int,
    seed: int,
    crossed: bool,
) -> dict[str, NDArray[Any]]:
    rows, others = ({name: array[of] for name, array in inputs.items()} for of in (half, other))
    facts = bundle.manifest.calibration
    if crossed and facts is not None:
        by_class = facts.by_class and len(np.unique(y[other])) == len(bundle.manifest.classes or ())
        bundle = calibrate(bundle, others, y[other], samples, seed, facts.sets or "lac", by_class)
    predictor = Predictor(bundle)
    found = dict(estimate(predictor, rows, samples, seed))
    once, once_of_others = predictor.predict(rows), predictor.predict(others)
    found[ONCE] = once
    if bundle.manifest.classes is not None:
        found[ONCE_CALIBRATED] = tempered(once, most_likely_temperature(once_of_others, y[other]))
    else:
        residuals = np.square(once_of_others - y[other]).mean(axis=0)
        found[ONCE_CALIBRATED] = np.broadcast_to(residuals, once.shape)
    if predictor.calibration is None:
        return found
    for coverage in COVERAGES:
        if coverage <= predictor.calibration.highest_coverage:
            held = (
                predictor.calibration.prediction_set if "label" in found else predictor.calibration.interval
            )
            found[held_name(coverage)] = held(found, coverage)
    return found
