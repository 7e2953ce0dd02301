"""A bundle that held-out rows measure, calibrate and describe."""

from typing import Any

from numpy.typing import NDArray

from caveat.models.bundles.bundle import Bundle, pack
from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor
from caveat.training.calibrate import calibrate
from caveat.training.card.card import with_card
from caveat.training.metrics import held_out_metrics


def measured(bundle: Bundle, inputs: Inputs, y: NDArray[Any], samples: int, seed: int) -> Bundle:
    """Measure a bundle on held-out rows, calibrate it on them, and give it a card.

    Parameters
    ----------
    inputs, y
        Rows with their truths, see `caveat.training.held_out.read_held_out`.
    samples, seed
        Of the passes behind every answer.

    Raises
    ------
    DataError
        If the rows are too few to calibrate on.
    """
    bundle = calibrate(bundle, inputs, y, samples, seed)
    metrics = held_out_metrics(Predictor(bundle), inputs, y, samples, seed)
    bundle = pack(bundle.manifest.model_copy(update={"metrics": metrics}), bundle.files)
    return with_card(bundle, inputs, y, samples, seed)
