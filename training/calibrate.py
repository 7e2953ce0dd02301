"""Calibrates a bundle on held-out rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.answers.conformal import Sets
from caveat.models.bundles.bundle import CARD, Bundle, pack
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.errors import CaveatError
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import calibration_file
from caveat.models.tasks.facts import CalibrationFacts
from caveat.training.tasks import tasks

LEAST_ROWS = 20
"""Least number of rows to calibrate on."""


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
        If there are too few rows, or the network's answers are not finite.
    """
    task, manifest = tasks.of(bundle.manifest), bundle.manifest
    if len(y) < LEAST_ROWS:
        raise CaveatError(f"{len(y)} rows to calibrate on; at least {LEAST_ROWS} are needed")
    missing = missing_groups(manifest, y)
    if by_class and missing:
        raise CaveatError(
            f"no row of the {task.truth} {missing[0]!r} to calibrate on; "
            "sets by class need rows of every class"
        )
    manifest = manifest.model_copy(update=task.fit(bundle, inputs, y, samples, seed))
    files = {
        name: content for name, content in bundle.files.items() if name not in (calibration_file.FILE, CARD)
    }
    bare = pack(manifest.model_copy(update={"calibration": None}), files)
    answers = estimate(Predictor(bare), inputs, samples, seed)
    for name, column in answers.items():
        if not np.isfinite(column).all():
            raise CaveatError(f"the {name} is not finite on the rows to calibrate on")
    facts = CalibrationFacts(
        rows=len(y),
        samples=samples,
        seed=seed,
        **task.calibration(answers, y, sets, by_class),
    )
    return pack(
        bare.manifest.model_copy(update={"calibration": facts}),
        {**files, calibration_file.FILE: calibration_file.write(y, answers)},
    )


def missing_groups(manifest: Manifest, y: NDArray[Any]) -> list[str]:
    """List the classes that no row is of."""
    groups = tasks.of(manifest).groups(manifest.classes, y)
    return [name for name, rows in groups.items() if not len(rows)]
