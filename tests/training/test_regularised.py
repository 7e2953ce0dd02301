"""Every regulariser with every network, from the options to the manifest."""

import numpy as np
import pytest

from caveat.models.bundles.signature import Input
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.architecture import ARCHITECTURES
from caveat.training.data.dataset import Dataset, Part
from caveat.training.options import Options
from caveat.training.train import train
from caveat.training.vocabulary import NetworkName

X = np.random.default_rng(0).normal(size=(120, 8, 8)).astype(np.float32)
Y = (X[:, 0, 0] * X[:, 1, 1] > 0).astype(np.int64)
SPEC = Input(name="x", dtype="float32", shape=("rows", 8, 8))
DATASET = Dataset("signs", "classification", SPEC, X, Y, "sign", ("unlike", "alike"))
COMBINED = {"l1": 1e-5, "l2": 1e-4, "weight_decay": 1e-2, "max_norm": 2.0, "keep": (0.9, 0.8, 0.7)}
AUGMENT = {
    True: ("jitter", "mask=0.2", "mixup"),
    False: ("shift", "rotation=10", "scale", "flip", "mixup=0.4"),
}


SLOW = ("cnn", "gru", "transformer")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in ARCHITECTURES]
)
def test_all_regularisers_combine_for_every_network_and_are_recorded(name: NetworkName) -> None:
    augment = AUGMENT[ARCHITECTURES[name].sequences]
    options = Options(network=name, hidden=(8, 8), epochs=2, augment=augment, **COMBINED)
    bundle = train(DATASET, options)
    told = bundle.manifest.provenance.hyperparameters
    assert told["dropout"] == [0.1, 0.2, 0.3]
    assert told["optimiser"] == "AdamW"
    assert {name: told[name] for name in ("l1", "l2", "weight_decay", "max_norm")} == {
        name: COMBINED[name] for name in ("l1", "l2", "weight_decay", "max_norm")
    }
    assert list(told["augment"]) == [each.partition("=")[0] for each in augment]
    inputs, _ = DATASET.fed(Part(X[:3], Y[:3]))
    assert np.isfinite(estimate(Predictor(bundle), inputs, 20, 1)["mean"]).all()
