"""Metrics of a model on held-out rows, answered as for a client."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caveat.models.bundles.signature import Inputs
from caveat.models.errors import CaveatError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.tasks import tasks


def held_out_metrics(
    predictor: Predictor, inputs: Inputs, y: NDArray[Any], samples: int, seed: int
) -> dict[str, float]:
    """Measure a served model on held-out rows.

    Parameters
    ----------
    predictor
        Predictor of the model.
    inputs, y
        Raw rows, and their targets: indices of classes, or values; (B, T) for T targets.
    samples, seed
        Number of passes behind every answer, and their seed.

    Returns
    -------
    dict
        See `caveat.training.measures.classes.metrics` and `caveat.training.measures.values.metrics`.

    Raises
    ------
    CaveatError
        If the network's answers are not finite.
    """
    answer = estimate(predictor, inputs, samples, seed)
    deterministic = predictor.predict(inputs)
    for name, column in {**answer, "answer without dropout": deterministic}.items():
        if not np.isfinite(column).all():
            raise CaveatError(
                f"the {name} is not finite on the held-out rows; lower --lr, or rescale the target"
            )
    measured = tasks.of(predictor.manifest).metrics(predictor.manifest, answer, deterministic, y)
    return {name: float(value) for name, value in measured.items()}
