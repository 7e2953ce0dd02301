"""Networks whose masks can be multiplied into the weights; see `caveat.models.graphs.thinned`."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.models.bundles.bundle import PASSES
from caveat.models.draws.masks import draw
from caveat.models.graphs.thinned import thinned_graph
from caveat.models.predictor import Predictor
from caveat.training.export.export import export


class Residual(nn.Module):
    """Blocks with skips and batch norms, and dropout in front of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.block = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.stem(x)
        hidden = hidden + self.block(hidden)
        logits: Tensor = self.head(self.drop(torch.relu(hidden).mean((2, 3))))
        return logits


def mlp(*rates: float) -> nn.Module:
    layers = [part for rate in rates for part in (nn.Linear(6, 6), nn.ReLU(), nn.Dropout(rate))]
    return nn.Sequential(*layers, nn.Linear(6, 3))


def cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * 9, 3))


@pytest.mark.parametrize(
    ("network", "shape", "options"),
    [
        (mlp(0.5), (6,), {}),
        (mlp(0.1), (6,), {"preprocess": nn.LayerNorm(6)}),
        (mlp(0.3, 0.3), (6,), {"sites": ("last",)}),
        (cnn(), (1, 5, 5), {}),
        (Residual(), (1, 5, 5), {}),
        (nn.Sequential(mlp(0.3), nn.Softmax(-1)), (6,), {"outputs": "probabilities"}),
        (mlp(0.3), (6,), {"task": "regression", "outputs": "mean", "targets": ("a", "b", "c")}),
    ],
)
def test_masks_before_the_last_product_are_multiplied_into_its_weights(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    example = torch.rand(5, *shape)
    stated = {"task": "classification", "outputs": "logits", **options}
    bundle = export(network, example, name="net", **stated)
    site, *_ = bundle.manifest.sites
    drawn = draw(site, 0, 0, 100, {}, "stratified")
    assert thinned_graph(bundle.files[PASSES], site, drawn) is not None
    predictor, plain = Predictor(bundle, kept_seed=0), Predictor(bundle)
    predictor.thin(bundle, {"x": example[:2].numpy()})
    rows = {"x": np.random.default_rng(0).normal(size=(37, *shape)).astype(np.float32)}
    expected = plain.some_passes(rows, 0, "stratified", 0, 100)
    monkeypatch.delattr(Predictor, "run_passes")  # the run with masks
    np.testing.assert_array_equal(predictor.some_passes(rows, 0, "stratified", 0, 100), expected, strict=True)


@pytest.mark.parametrize(
    ("network", "shape", "options"),
    [
        (nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.3), nn.ReLU(), nn.Linear(6, 3)), (6,), {}),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(36, 3)), (1, 5, 5), {}),
        (nn.Sequential(nn.Linear(6, 6), nn.AlphaDropout(0.3), nn.Linear(6, 3)), (6,), {}),
        (mlp(0.3), (6,), {"task": "regression", "outputs": "mean_log_variance"}),
    ],
)
def test_other_masks_are_not_multiplied_into_weights(
    network: nn.Module, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    if options:
        network = nn.Sequential(network, nn.Linear(3, 2))
    stated = {"task": "classification", "outputs": "logits", **options}
    bundle = export(network, torch.rand(5, *shape), name="net", **stated)
    site, *others = bundle.manifest.sites
    assert not others
    assert thinned_graph(bundle.files[PASSES], site, draw(site, 0, 0, 100, {}, "stratified")) is None
