"""One small network of every kind, trained on the data sets that ship with scikit-learn."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caveat.models.bundles.bundle import Bundle
from caveat.models.draws.masks import Sampler
from caveat.models.predictor import Predictor
from caveat.training.data.bundled import BUNDLED
from caveat.training.options import Options
from caveat.training.train import train

KINDS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "mlp, rate 0.1": {"dropout": (0.1,)},
    "mlp, 3 x 256": {"hidden": (256, 256, 256)},
    "cnn": {"network": "cnn"},
    "lstm": {"network": "lstm"},
    "gru": {"network": "gru"},
    "transformer": {"network": "transformer"},
    "mlp, regression": {"noise": "constant"},
}
"""Options of the training of each kind. All but the last classify scikit-learn's digits: as images, or as
sequences of eight rows of pixels."""


def trained(kind: str, count: int, epochs: int) -> tuple[Bundle, dict[str, NDArray[Any]]]:
    """Train a network of a kind; return it with rows to predict."""
    torch.set_num_threads(1)
    dataset = BUNDLED["diabetes" if "regression" in kind else "digits"]()
    bundle = train(dataset, Options(epochs=epochs, **KINDS[kind]))
    chosen = np.random.default_rng(0).permutation(len(dataset.x))[:count]
    return bundle, {dataset.input.name: dataset.x[chosen]}


def passes(predictor: Predictor, rows: Any, samples: int, seed: int, sampler: Sampler) -> NDArray[np.float64]:
    """Make passes, (samples, rows, outputs)."""
    made = np.concatenate(list(predictor.passes(rows, samples, seed, sampler))).astype(np.float64)
    return made.reshape(samples, len(made[0]), -1)
