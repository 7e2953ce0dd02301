"""Answers: the statistics of passes, completed by decisions, and what is to be said of them."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from caveat.models.answers.uncertainty import Columns
from caveat.models.bundles.signature import Inputs
from caveat.models.draws.masks import Sampler
from caveat.models.draws.strata import BLOCK
from caveat.models.estimates.cohort import Asked, Cohort, in_order
from caveat.models.predictor import Predictor

_RANK: Final = "percentile"
"""The column whose law holds only for passes that are made as those over the calibration rows."""

_ENOUGH: Final = BLOCK
"""Passes from which on, in a calibration of 100, promises were kept about as well as with those of the
calibration: see `benchmarks/quality/samples.py`."""


def complete(predictor: Predictor, asked: Asked, columns: Columns) -> Columns:
    """Add the decisions that are asked for, and drop what does not hold for such passes.

    Parameters
    ----------
    asked
        Options that have passed the task's check.
    columns
        Columns of a `Cohort`, for rows with these options.
    """
    calibration = predictor.calibration
    decided = {**columns, **predictor.task.decide(asked.decisions, columns, calibration)}
    if calibration is not None and not asked.as_calibrated(calibration.facts):
        decided.pop(_RANK, None)
    return decided


def predicted(predictor: Predictor, inputs: Inputs) -> Columns:
    """Answer rows without dropout, with what the calibration adds."""
    columns = predictor.task.predicted(predictor.predict(inputs))
    if predictor.calibration is None:
        return columns
    return {**columns, **predictor.calibration.predicted(columns)}


def notes(predictor: Predictor, asked: Asked) -> Mapping[str, str]:
    """Say what is to be known of a field of an answer, or why it is missing, by the name of the field."""
    calibration, task = predictor.calibration, predictor.task
    found = dict(task.notes(asked.decisions, calibration))
    if calibration is None or asked.as_calibrated(calibration.facts):
        return found
    samples = calibration.facts.samples
    found[_RANK] = (
        f"told only for passes like those of the calibration: {samples} samples, stratified, without a"
        " tolerance"
    )
    if min(asked.samples, samples) < _ENOUGH:
        promised = {task.region: asked.decisions.coverage, "abstain": asked.decisions.max_error}
        for name in (name for name, rate in promised.items() if rate is not None):
            few = f"promised for {samples} passes, as in the calibration; {asked.samples} may not keep it"
            found[name] = f"{found[name]}; {few}" if name in found else few
    return found


def estimate(
    predictor: Predictor,
    rows: object,
    samples: int = 100,
    seed: int = 0,
    sampler: Sampler = "stratified",
    tolerance: float = 0.0,
) -> Columns:
    """Answer rows with their uncertainty, in memory that does not depend on ``samples``.

    Parameters
    ----------
    rows
        B rows as a client writes them, or as arrays: those of the only input, or of each input by its name.
    samples, seed, sampler, tolerance
        See `Asked`.

    Returns
    -------
    Columns
        See `Cohort.step` and `complete`.

    Raises
    ------
    InputError
        If the rows do not fit the model; the message names the first that does not.
    """
    inputs = predictor.encode(rows)
    count = len(next(iter(inputs.values())))
    asked = Asked(samples, seed, sampler, tolerance)
    cohort = Cohort(predictor, inputs, seed, sampler, np.full(count, samples), np.full(count, tolerance))
    most = predictor.rows_at_once(inputs, samples)
    pieces = []
    while cohort.next_rows(most):
        pieces.append(cohort.step(most))
    return complete(predictor, asked, in_order([piece for piece in pieces if len(piece[0])]))
