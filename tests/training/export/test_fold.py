"""Values that no draw reaches run once, and a row's bits do not depend on other rows or passes."""

from functools import cache

import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import ModelProto
from torch import Tensor, nn

from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle
from caveat.models.bundles.dimension import names
from caveat.models.predictor import Predictor
from caveat.training.export.export import export
from tests.training.export.kinds import KINDS, network

HEAVY = {"Conv", "MatMul", "Gemm", "LSTM", "GRU", "RNN", "BatchNormalization", "Softmax", "Erf", "Tanh"}


def graph(bundle: Bundle, file: str = PASSES) -> ir.Graph:
    return ir.from_proto(ModelProto.FromString(bytes(bundle.files[file]))).graph


def needlessly_repeated(bundle: Bundle) -> list[str]:
    """List heavy nodes that run for every pass although no draw reaches them."""
    passes = graph(bundle)
    sites = {site.name for site in bundle.manifest.sites}
    reached = {value for value in passes.inputs if value.name in sites}
    idle = []
    for node in passes:
        if any(value in reached for value in node.inputs):
            reached |= set(node.outputs)
        elif node.op_type in HEAVY and any(_counts_passes(value) for value in node.outputs):
            idle.append(f"{node.op_type} {node.outputs[0].name}")
    return idle


def _counts_passes(value: ir.Value) -> bool:
    sizes = [size if isinstance(size, int) else str(size) for size in value.shape or ()]
    return any("passes" in names(size) for size in sizes)


def operators(bundle: Bundle, kind: str, file: str = PASSES) -> list[ir.Node]:
    return [node for node in graph(bundle, file) if node.op_type == kind]


@cache
def exported(name: str) -> Bundle:
    kind = KINDS[name]
    rows = kind.example(3)
    free = {"x": kind.free.get(0, {})}
    return export(
        network(kind, 3), rows[0], task="classification", outputs="logits", name="folded", free=free
    )


class Branches(nn.Module):
    """A deterministic trunk, a residual connection around a dropout, and a deterministic branch after it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))
        self.side = nn.Conv2d(8, 8, 3, padding=1)
        self.mixed = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        trunk = self.trunk(x)
        x = trunk + F.dropout2d(torch.relu(trunk), 0.3, self.training)
        y = self.mixed(x)
        logits: Tensor = self.head((y + self.side(trunk)).mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def head_only() -> Bundle:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8, 3),
    )
    return export(module, torch.rand(3, 3, 12, 12), task="classification", outputs="logits", name="cnn")


def test_a_deterministic_prefix_runs_once(head_only: Bundle) -> None:
    convolutions = operators(head_only, "Conv")
    assert len(convolutions) == len(operators(head_only, "Conv", PREDICT)) == 2
    assert not any(_counts_passes(node.outputs[0]) for node in convolutions)
    assert needlessly_repeated(head_only) == []


def test_only_nodes_that_a_draw_reaches_run_for_every_pass() -> None:
    torch.manual_seed(0)
    module = Branches()
    bundle = export(module, torch.rand(3, 3, 12, 12), task="classification", outputs="logits", name="mixed")
    counted = [_counts_passes(node.outputs[0]) for node in operators(bundle, "Conv")]
    assert sum(counted) == 1  # mixed
    assert len(counted) <= len(operators(bundle, "Conv", PREDICT))
    assert needlessly_repeated(bundle) == []


@pytest.mark.parametrize(
    "name",
    [
        "Dropout",
        "LSTM",
        "dropout on weights",
        "batch norm",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "GRU bidirectional sequence first",
                "MultiheadAttention",
                "TransformerEncoderLayer",
                "around residual connections",
                "heads in rows",
                "embedding",
            )
        ),
    ],
)
def test_no_node_is_repeated_needlessly(name: str) -> None:
    assert needlessly_repeated(exported(name)) == []


STABLE = [
    "Dropout",
    "Dropout2d",
    "LSTM",
    "GRU",
    "batch norm",
    "MultiheadAttention",
    "TransformerEncoder",
    "attention",
    "embedding",
]
# ONNX Runtime multiplies a single row with another kernel if the weights are not constants of the graph
# (dropout on weights), and in its RNN operator; these bundles state that a run takes at least two rows.
FILLED = ["RNN tanh", "dropout on weights"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith("Transformer") else [])
        for name in (*STABLE, *FILLED)
    ],
)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(name: str) -> None:
    predictor = Predictor(exported(name), threads=1)
    assert unequal_bits(name, predictor) == []
    if name in FILLED:
        assert predictor.manifest.least_rows == 2


def unequal_bits(name: str, predictor: Predictor) -> list[str]:
    rows = KINDS[name].example(40, seed=5)[0].numpy()
    whole = np.concatenate(list(predictor.passes({"x": rows}, 33, seed=1)))
    differing = []
    for start, count in ((0, 1), (7, 1), (0, 2), (3, 3), (5, 16), (0, 33)):
        part = np.concatenate(list(predictor.passes({"x": rows[start : start + count]}, 33, seed=1)))
        if not np.array_equal(part, whole[:, start : start + count]):
            differing.append(f"{count} rows from {start}")
    for samples in (1, 2, 5, 32):
        few = np.concatenate(list(predictor.passes({"x": rows[:3]}, samples, seed=1)))
        if not np.array_equal(few, whole[:samples, :3]):
            differing.append(f"{samples} passes")
    return differing
