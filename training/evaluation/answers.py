"""Answers to the rows of an evaluation: with passes, without dropout, and with calibration."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import Inputs
from caveat.models.errors import CaveatError
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import calibration_file
from caveat.models.tasks.task import TRUTH
from caveat.training.calibrate import calibrate, missing_groups
from caveat.training.measures.names import COVERAGES, ONCE, ONCE_CALIBRATED, held_name
from caveat.training.tasks import tasks


def answer_rows(
    bundle: Bundle,
    predictor: Predictor,
    inputs: Inputs,
    y: NDArray[Any],
    samples: int,
    seed: int,
    crossed: bool,
) -> Columns:
    """Answer all rows; whatever is fitted for one half of the rows is fitted on the other half.

    Parameters
    ----------
    bundle, predictor
        The bundle, and its predictor.
    inputs, y
        Raw rows, and their truths.
    samples, seed
        Number of passes behind every answer, and their seed.
    crossed
        Whether to answer each half of the rows with a calibration on the other half.

    Returns
    -------
    Columns
        Columns of `caveat.models.estimates.cohort.estimate`, `ONCE` and `ONCE_CALIBRATED`, and the
        prediction regions at each coverage (see `held_name`).

    Raises
    ------
    CaveatError
        If an answer is not finite.
    """
    once = predictor.predict(inputs)
    task = tasks.of(bundle.manifest)
    halves = np.array_split(np.random.default_rng(0).permutation(len(y)), 2)
    parts = []
    for half, other in (halves, halves[::-1]):
        rows, others = ({name: array[of] for name, array in inputs.items()} for of in (half, other))
        asked = predictor
        if crossed and bundle.manifest.calibration is not None:
            asked = Predictor(_calibrated_anew(bundle, others, y[other], samples, seed))
        answer = estimate(asked, rows, samples, seed)
        part = {**answer, ONCE: once[half], **_held(asked, answer)}
        sure = task.recalibrated(once[half], once[other], y[other])
        parts.append(part if sure is None else {**part, ONCE_CALIBRATED: sure})
    places = np.argsort(np.concatenate(halves))
    found = {
        name: np.concatenate([part[name] for part in parts])[places]
        for name in parts[0]
        if name in parts[1]  # the halves may support different coverages
    }
    for name, column in found.items():
        if not np.isfinite(column).all():
            raise CaveatError(f"the {name} is not finite on these rows")
    return found


def same_rows(bundle: Bundle, y: NDArray[Any], answer: Columns) -> bool:
    """Tell whether the bundle was calibrated on these rows, by their truths and the answers to them."""
    if bundle.manifest.calibration is None:
        return False
    with np.load(io.BytesIO(bytes(bundle.files[calibration_file.FILE])), allow_pickle=False) as arrays:
        truth, mean = arrays[TRUTH], arrays["mean"]
    return truth.shape == y.shape and np.array_equal(truth, y) and np.allclose(mean, answer["mean"], atol=0.1)


def _calibrated_anew(bundle: Bundle, inputs: Inputs, y: NDArray[Any], samples: int, seed: int) -> Bundle:
    """Calibrate in the same way as the bundle; by class only if there are rows of every class."""
    facts = bundle.manifest.calibration
    assert facts is not None
    by_class = facts.by_class and not missing_groups(bundle.manifest, y)
    return calibrate(bundle, inputs, y, samples, seed, facts.sets or "lac", by_class)


def _held(predictor: Predictor, answer: Columns) -> Columns:
    known = predictor.calibration
    if known is None:
        return {}
    return {
        held_name(each): known.region(answer, each)
        for each in COVERAGES
        if each <= known.highest_coverage and np.isfinite(known.quantiles(each)).all()
    }
