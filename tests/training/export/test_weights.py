from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from caveat.models.bundles import store
from caveat.models.bundles.bundle import BundleError, pack
from caveat.models.predictor import Predictor
from caveat.training.export import weights
from caveat.training.export.export import export


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 3))


def test_large_weights_are_stored_once_in_a_separate_file_and_answer_the_same(
    network: nn.Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = torch.rand(4, 32)
    inside = export(network, rows, task="classification", outputs="logits", name="net")
    monkeypatch.setattr(weights.to_files, "__defaults__", (1000,))
    apart = export(network, rows, task="classification", outputs="logits", name="net")
    assert set(apart.files) == {"predict.onnx", "passes.onnx", "weights.bin"}
    first = 32 * 64 * 4
    assert first <= len(apart.files["weights.bin"]) < 2 * first
    assert len(apart.files["passes.onnx"]) < first

    loaded = store.load(store.add(tmp_path, apart))
    inputs = {"x": rows.numpy()}
    for bundle in (apart, loaded):
        np.testing.assert_array_equal(Predictor(bundle).predict(inputs), Predictor(inside).predict(inputs))


def test_a_changed_file_of_weights_is_refused(
    network: nn.Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights.to_files, "__defaults__", (1000,))
    bundle = export(network, torch.rand(4, 32), task="classification", outputs="logits", name="net")
    folder = store.add(tmp_path, bundle)
    content = bytearray((folder / "weights.bin").read_bytes())
    content[100] ^= 1
    (folder / "weights.bin").write_bytes(content)
    with pytest.raises(BundleError, match=r"weights\.bin: sha256"):
        store.load(folder)


def test_a_graph_reads_no_weights_from_outside_its_bundle(
    network: nn.Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights.to_files, "__defaults__", (1000,))
    bundle = export(network, torch.rand(4, 32), task="classification", outputs="logits", name="net")
    outside = tmp_path / "outside.bin"
    outside.write_bytes(bundle.files["weights.bin"])
    graph = ir.from_proto(__import__("onnx").load_from_string(bundle.files["passes.onnx"]))
    for value in graph.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            old = value.const_value
            value.const_value = ir.ExternalTensor(
                str(outside), old.offset, old.length, old.dtype, shape=old.shape, name=old.name
            )
    files = {**bundle.files, "passes.onnx": ir.to_proto(graph).SerializeToString()}
    with pytest.raises(Exception, match=r"(?i)external|outside"):
        Predictor(pack(bundle.manifest, files))
