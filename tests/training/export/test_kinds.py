"""Every kind of randomness, compared with a loop over PyTorch with the same draws."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from caveat.models.bundles.bundle import Bundle
from caveat.models.predictor import Predictor
from caveat.training.export.export import export
from caveat.training.vocabulary import Outputs, Task
from tests.training.export.kinds import KINDS, Kind, network
from tests.training.export.loop import loop

OUTPUTS: dict[Task, tuple[int, Outputs]] = {"classification": (3, "logits"), "regression": (1, "mean")}
SEED = 11

ONE_OF_EACH = {
    "Dropout",
    "F.alpha_dropout",
    "LSTM",
    "GRU bidirectional sequence first",
    "MultiheadAttention",
    "attention with a mask",
    "TransformerEncoderLayer",
    "stochastic depth by row, timm",
    "stochastic depth by batch, torchvision",
    "torch.bernoulli of probabilities",
    "torch.rand by row",
    "torch.normal of tensors",
    "uniform_",
    "variational over time, by row",
    "dropout on weights",
    "dropout on gathered positions",
    "bags of tokens",
    "heads in rows",
    "time by rows",
    "batch norm after dropout",
    "functional batch norm",
    "around residual connections",
    "a draw used twice",
    "sums in place",
    "whole tokens",
    "spectral norm",
    "dropped parametrized weights",
    "AlphaDropout of rate 1",
    "attention of rate 1",
    "bags with padding",
    "bags with padding, largest",
    "whole words",
    "weight drop, LSTM",
    "weight drop, GRU",
    "weight drop, grouped convolution after dropout",
}
"""A kind for each way that the export handles; all kinds in both tasks are a sweep."""

CASES = [
    pytest.param(name, task, marks=[] if name in ONE_OF_EACH and task == first else [pytest.mark.slow])
    for number, name in enumerate(KINDS)
    for first in [list(OUTPUTS)[number % 2]]
    for task in OUTPUTS
]


def test_one_of_each_is_there() -> None:
    assert KINDS.keys() >= ONE_OF_EACH


def named(kind: Kind, count: int, seed: int) -> dict[str, Tensor]:
    return dict(zip("xy", kind.example(count, seed), strict=False))


@cache
def exported(name: str, task: Task) -> tuple[nn.Module, Bundle]:
    kind = KINDS[name]
    width, outputs = OUTPUTS[task]
    module = network(kind, width)
    rows = named(kind, 3, seed=0)
    free = {"xy"[number]: axes for number, axes in kind.free.items()}
    example: Any = rows if len(rows) > 1 else rows["x"]
    return module, export(module, example, task=task, outputs=outputs, name="kind", free=free)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("name", "task"), CASES)
def test_passes_equal_pytorch_with_the_same_draws(name: str, task: Task) -> None:
    module, bundle = exported(name, task)
    predictor = Predictor(bundle, threads=1)
    assert len(bundle.manifest.sites) == KINDS[name].sites
    for rows, samples in itertools.product((1, 2, 7), repeat=2):
        inputs = named(KINDS[name], rows, seed=1)
        expected = loop(module, bundle, inputs, samples, SEED, KINDS[name].alternating)
        if task == "classification":
            expected = expected.softmax(-1)
        arrays = {key: tensor.numpy() for key, tensor in inputs.items()}
        found = np.concatenate(list(predictor.passes(arrays, samples, SEED)))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
