"""The least number of rows in a run at which the bits of a row do not depend on the other rows."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from caveat.models.bundles.bundle import Bundle, pack
from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor

_COUNTS = (1, 2, 3, 5, 16)
_PASSES = (1, 2, 7)


def with_stable_bits(bundle: Bundle, rows: Sequence[Tensor]) -> Bundle:
    """State in the manifest the least number of rows in a run that gives a row equal bits in every batch.

    Parameters
    ----------
    bundle
        The bundle to try.
    rows
        Example inputs to try it on.
    """
    names = [spec.name for spec in bundle.manifest.inputs]
    index = torch.arange(max(_COUNTS))
    inputs = {name: tensor[index % len(tensor)].numpy() for name, tensor in zip(names, rows, strict=True)}
    for least in (1, 2, 4):
        stated = pack(bundle.manifest.model_copy(update={"least_rows": least}), bundle.files)
        if _stable(Predictor(stated), inputs):
            return stated
    return bundle


def _stable(predictor: Predictor, inputs: Inputs) -> bool:
    predicted, sampled = predictor.predict(inputs), _passes(predictor, inputs, max(_PASSES))
    for count in _COUNTS:
        few = {name: array[:count] for name, array in inputs.items()}
        if not np.array_equal(predictor.predict(few), predicted[:count], equal_nan=True):
            return False
        for passes in _PASSES:
            if not np.array_equal(_passes(predictor, few, passes), sampled[:passes, :count], equal_nan=True):
                return False
    return True


def _passes(predictor: Predictor, inputs: Inputs, samples: int) -> np.ndarray:
    return np.concatenate(list(predictor.passes(inputs, samples, seed=0)))
