import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from caveat.models.bundles import shared, store
from caveat.models.bundles.bundle import PASSES, PREDICT, WEIGHTS, Bundle, BundleError, pack
from caveat.models.bundles.shared import SharedFile
from caveat.models.engines.onnx_runtime import OnnxRuntime
from caveat.models.predictor import Predictor
from caveat.training.export.export import export


class Tied(nn.Module):
    """Layers of several kinds, one of which is used twice."""

    def __init__(self, width: int = 40) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 6, 5, padding=2)
        self.norm = nn.BatchNorm1d(6)
        self.gru = nn.GRU(6, width, batch_first=True)
        self.twice = nn.Linear(width, width)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = self.norm(self.first(x.unsqueeze(1))).relu().transpose(1, 2)
        hidden = self.gru(steps)[0][:, -1]
        hidden = self.drop(self.twice(hidden).relu())
        answer: torch.Tensor = self.last(self.drop(self.twice(hidden).relu()))
        return answer


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return Tied().eval()


@pytest.fixture(scope="module")
def bundle(network: nn.Module) -> Bundle:
    return export(network, torch.rand(4, 32), task="classification", outputs="logits", name="net")


def test_weights_lie_in_the_bundle_once(network: nn.Module, bundle: Bundle) -> None:
    assert set(bundle.files) == {PREDICT, PASSES, WEIGHTS}
    sizes = [weight.numel() * 4 for weight in network.parameters()]
    large = sum(size for size in sizes if size >= 1024)
    assert large <= len(bundle.files[WEIGHTS]) < 1.05 * large
    assert len(bundle.files[PREDICT]) < large
    tensors = {file: external(bundle, file) for file in (PREDICT, PASSES)}
    assert tensors[PREDICT] == tensors[PASSES]
    assert len(tensors[PREDICT]) == sum(size >= 1024 for size in sizes)


def external(bundle: Bundle, file: str) -> set[int | None]:
    graph = ir.from_proto(onnx.ModelProto.FromString(bytes(bundle.files[file])))
    values = graph.graph.initializers.values()
    return {value.const_value.offset for value in values if isinstance(value.const_value, ir.ExternalTensor)}


@pytest.mark.parametrize("large", [1, 2**25], ids=["mapped", "read"])
def test_a_bundle_answers_alike_in_memory_and_from_a_store(
    network: nn.Module, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(shared, "LARGE", large)
    loaded = store.load(store.add(tmp_path, bundle))
    assert isinstance(loaded.files[WEIGHTS], SharedFile if large == 1 else bytes)
    rows = torch.rand(5, 32)
    with torch.no_grad():
        expected = network(rows).softmax(-1).numpy()
    first, second = (Predictor(each).predict({"x": rows.numpy()}) for each in (bundle, loaded))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, expected, atol=1e-6)


@pytest.fixture
def mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Map the weights of small bundles too."""
    monkeypatch.setattr(shared, "LARGE", 1)


@pytest.mark.usefixtures("mapping")
def test_both_graphs_run_on_the_mapped_file(bundle: Bundle, tmp_path: Path) -> None:
    loaded = store.load(store.add(tmp_path, bundle))
    mapped = loaded.files[WEIGHTS]
    assert isinstance(mapped, SharedFile)
    start = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
    predictor = Predictor(loaded)
    for engine in (predictor._predict, predictor._passes):
        assert isinstance(engine, OnnxRuntime)
        assert engine._weights
        for value in engine._weights.values():
            assert start <= value.data_ptr() < start + len(mapped)


@pytest.mark.usefixtures("mapping")
def test_a_model_outlives_its_files(bundle: Bundle, tmp_path: Path) -> None:
    """A version that is served may be removed, or replaced by a rename."""
    folder = store.add(tmp_path, bundle)
    predictor = Predictor(store.load(folder))
    rows = {"x": np.random.default_rng(0).random((3, 32), np.float32)}
    before = predictor.predict(rows)
    (tmp_path / "other").write_bytes(bytes(len(bundle.files[WEIGHTS])))
    (tmp_path / "other").rename(folder / WEIGHTS)
    np.testing.assert_array_equal(predictor.predict(rows), before)
    (folder / WEIGHTS).unlink()
    np.testing.assert_array_equal(predictor.predict(rows), before)


@pytest.mark.usefixtures("mapping")
def test_a_file_that_was_replaced_since_it_was_verified_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = store.add(tmp_path, bundle)
    loaded = store.load(folder)
    (tmp_path / "other").write_bytes(bundle.files[WEIGHTS])
    (tmp_path / "other").rename(folder / WEIGHTS)
    with pytest.raises(BundleError, match=r"weights\.bin: changes while it is read"):
        Predictor(loaded)


@pytest.mark.usefixtures("mapping")
def test_a_changed_file_of_weights_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = store.add(tmp_path, bundle)
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[100] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(BundleError, match=r"weights\.bin: sha256"):
        store.load(folder)


def test_a_graph_reads_no_weights_from_outside_its_bundle(bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(bundle.files[WEIGHTS])
    graph = ir.from_proto(onnx.ModelProto.FromString(bytes(bundle.files[PASSES])))
    for value in graph.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            old = value.const_value
            value.const_value = ir.ExternalTensor(
                str(outside), old.offset, old.length, old.dtype, shape=old.shape, name=old.name
            )
    changed = {**bundle.files, PASSES: ir.to_proto(graph).SerializeToString()}
    with pytest.raises(BundleError, match=r"outside\.bin', which is not a file of the bundle"):
        Predictor(pack(bundle.manifest, changed))


_HELD = """
import re, sys
from pathlib import Path
from caveat.models.bundles import shared, store
from caveat.models.predictor import Predictor

def held(what):
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(rf"^{what}:\\s+(\\d+)", rollup, re.MULTILINE)[1]) * 1024

small, large = (Path(folder) for folder in sys.argv[1:])
first = Predictor(store.load(small), threads=1)
before = held("Rss"), held("Anonymous")
second = Predictor(store.load(large), threads=1)
print(held("Rss") - before[0], held("Anonymous") - before[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
def test_large_weights_are_in_memory_once_and_shared(bundle: Bundle, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(32, 3000), nn.Dropout(0.1), nn.Linear(3000, 3000), nn.Linear(3000, 2))
    large = export(network, torch.rand(4, 32), task="classification", outputs="logits", name="large")
    folders = [str(store.add(tmp_path, each)) for each in (bundle, large)]
    done = subprocess.run(
        [sys.executable, "-c", _HELD, *folders], capture_output=True, text=True, check=True, timeout=300
    )
    resident, private = map(int, done.stdout.split())
    weights = len(large.files[WEIGHTS])
    assert resident < 1.3 * weights
    assert private < 0.3 * weights
