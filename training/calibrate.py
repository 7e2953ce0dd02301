"""Calibrates a bundle on held-out rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.chance import CHANCE, chances
from caveat.models.answers.conformal import Sets
from caveat.models.bundles.bundle import CARD, Bundle, pack
from caveat.models.bundles.signature import Inputs
from caveat.models.draws.strata import BLOCK
from caveat.models.errors import CaveatError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import calibration_file
from caveat.models.tasks import tasks as models
from caveat.models.tasks.facts import CalibrationFacts
from caveat.models.tasks.task import TRUTH
from caveat.training.fits.error_ratios import BLOCKS, error_ratios
from caveat.training.tasks import tasks

LEAST_ROWS = 20
"""Least number of rows to calibrate on."""

_MOST_ROWS = 100  # to measure the errors of means on


def calibrate(
    bundle: Bundle,
    inputs: Inputs,
    y: NDArray[Any],
    samples: int = 100,
    seed: int = 0,
    sets: Sets = "lac",
    by_class: bool = False,
) -> Bundle:
    """Calibrate a bundle on rows held out from its training, through the predictor that will serve.

    Fits what the task leaves to such rows, and keeps their truths and the answers to them, with which later
    answers are compared.

    Parameters
    ----------
    bundle
        The bundle to calibrate.
    inputs, y
        Raw rows, and their truths: indices of classes, or values.
    samples, seed
        Number of passes behind every answer, and their seed.
    sets, by_class
        See `caveat.models.tasks.facts.CalibrationFacts`.

    Returns
    -------
    Bundle
        The calibrated bundle, without a card.

    Raises
    ------
    CaveatError
        If there are too few rows, the network's answers are not finite, or nothing holds a truth.
    """
    task = tasks.of(bundle.manifest)
    if len(y) < LEAST_ROWS:
        raise CaveatError(f"{len(y)} rows to calibrate on; at least {LEAST_ROWS} are needed")
    if not np.isfinite(y).all():
        raise CaveatError("a truth of the rows to calibrate on is not finite")
    fitted = task.fit(bundle, inputs, y, samples, seed)
    bare = uncalibrated(Bundle(bundle.manifest.model_copy(update=fitted), bundle.files))
    predictor = Predictor(bare)
    once, answers = predictor.predict(inputs), dict(estimate(predictor, inputs, samples, seed))
    for name, column in {"answer without dropout": once, **answers}.items():
        if not np.isfinite(column).all():
            raise CaveatError(f"the {name} is not finite on the rows to calibrate on")
    chosen = _mostly_uncertain(answers[models.of(bundle.manifest).uncertainty], len(y) * samples)
    ratios = error_ratios(
        predictor, {name: rows[chosen] for name, rows in inputs.items()}, bool(bundle.manifest.targets)
    )
    facts = CalibrationFacts(
        rows=len(y),
        samples=samples,
        seed=seed,
        error_ratios=ratios,
        **task.calibration(answers, once, y, sets, by_class),
    )
    if facts.randomised:
        answers[CHANCE] = chances(predictor.encode(inputs), seed)
    manifest = bare.manifest.model_copy(update={"calibration": facts})
    try:
        models.of(manifest).calibration({TRUTH: y, **answers})
    except ValueError as error:
        raise CaveatError(f"the rows to calibrate on: {error}") from None
    return pack(manifest, {**bare.files, calibration_file.FILE: calibration_file.write(y, answers)})


def uncalibrated(bundle: Bundle) -> Bundle:
    """Take out of a bundle what calibration rows told: the calibration and the card."""
    told = (calibration_file.FILE, CARD)
    files = {name: content for name, content in bundle.files.items() if name not in told}
    return pack(bundle.manifest.model_copy(update={"calibration": None}), files)


def _mostly_uncertain(uncertainty: NDArray[Any], passes: int) -> NDArray[np.intp]:
    """Choose rows to measure the errors of means on with about as many passes, more of the uncertain ones."""
    rows = len(uncertainty)
    count = min(max(passes // (BLOCKS * BLOCK), LEAST_ROWS), _MOST_ROWS, rows)
    descending = np.argsort(-uncertainty.reshape(rows, -1)[:, 0], kind="stable")
    return descending[np.unique(((rows - 1) * np.linspace(0, 1, count) ** 2).round().astype(np.intp))]
