"""Embeddings, and dropout on the weights of a network."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from caveat.models.bundles.bundle import PASSES
from caveat.models.predictor import Predictor
from caveat.training.export.export import export
from tests.training.export.exporting import OPTIONS, STEPS, TOKENS, exported, refused
from tests.training.export.kinds import Run, WeightDrop, WholeWords


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_of_padding_answers_as_in_pytorch(mode: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.EmbeddingBag(20, 6, mode=mode, padding_idx=4), nn.Dropout(0.3), nn.Linear(6, 2)
    )
    predictor = Predictor(exported(network, TOKENS))
    bags = torch.tensor([[4, 4, 4, 4, 4, 4, 4], [4, 4, 4, 7, 4, 4, 4], [1, 2, 3, 5, 6, 7, 8]])
    with torch.no_grad():
        expected = network.eval()(bags).softmax(-1)
    np.testing.assert_allclose(predictor.predict({"x": bags.numpy()}), expected, atol=1e-6)


def test_bags_of_all_rows_in_one_tensor_are_refused() -> None:
    network = Run(
        lambda self, x: self.bags(x.flatten(), torch.arange(x.shape[0]) * 7), bags=nn.EmbeddingBag(20, 6)
    )
    message = refused(nn.Sequential(network, nn.Dropout(0.3), nn.Linear(6, 2)), TOKENS)
    assert "offsets" in message
    assert "(rows, entries), filled up with its padding_idx" in message


def test_a_mask_over_words_is_drawn_and_looked_up_by_word() -> None:
    bundle = exported(nn.Sequential(WholeWords(), nn.Linear(8, 2)), TOKENS)
    (site,) = bundle.manifest.sites
    assert site.shape == ("passes", 20, 1)
    graph = ir.from_proto(onnx.ModelProto.FromString(bytes(bundle.files[PASSES])))
    shapes = [value.shape for node in graph.graph for value in node.outputs if value.shape is not None]
    assert shapes
    for shape in shapes:  # no table of dropped weights for each pass
        sizes = {str(size) for size in shape}
        assert not {"passes", "20", "8"} <= sizes
        assert not {"20*passes", "8"} <= sizes


def _salesforce(self: Any, tokens: Tensor) -> Tensor:
    weight, rate = self.embed.weight, 0.3 if self.training else 0.0
    if rate:
        mask = weight.data.new().resize_((weight.size(0), 1)).bernoulli_(1 - rate).expand_as(weight) / (
            1 - rate
        )
        weight = mask * weight
    return F.embedding(tokens, weight, -1, None, 2.0, False, False).mean(1)


def test_the_words_of_the_first_awd_lstm_are_dropped() -> None:
    exported(nn.Sequential(Run(_salesforce, embed=nn.Embedding(20, 8)), nn.Linear(8, 2)), TOKENS)


def test_a_weight_that_was_set_before_is_dropped_again() -> None:
    """In eval mode, WeightDrop may set a parameter, which PyTorch then lets nobody replace."""

    class Resets(WeightDrop):
        def forward(self, x: Tensor) -> Tensor:
            for name in self.names:
                setattr(self.module, name, F.dropout(self.get_parameter(f"{name}_raw"), 0.3, self.training))
            return self.module(x)[0][:, -1]  # type: ignore[no-any-return]

    torch.manual_seed(0)
    network = nn.Sequential(Resets(nn.LSTM(4, 5, batch_first=True), "weight_hh_l0"), nn.Linear(5, 2))
    network.eval()(STEPS)
    assert [site.shape for site in exported(network, STEPS).manifest.sites] == [("passes", 20, 5)]


def test_weights_are_dropped_by_a_function_in_the_place_of_forward() -> None:
    """As in torchnlp; a copy of the network must not run the original."""
    layer: Any = nn.LSTM(4, 5, batch_first=True)
    raw, forward = layer.weight_hh_l0, layer.forward
    del layer._parameters["weight_hh_l0"]
    layer.register_parameter("weight_hh_l0_raw", nn.Parameter(raw.data))

    def dropping(*inputs: Tensor) -> Any:
        layer.weight_hh_l0 = F.dropout(layer.weight_hh_l0_raw, 0.3, layer.training)
        return forward(*inputs)

    layer.forward = dropping
    network = Run(lambda self, x: self.head(self.layer(x)[0][:, -1]), layer=layer, head=nn.Linear(5, 2))
    for training in (True, False):
        assert len(exported(network.train(training), STEPS).manifest.sites) == 1


class AwdLstm(nn.Module):
    """Whole words, one mask for all steps, and weights, all dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 4)
        self.first = WeightDrop(nn.LSTM(4, 4, batch_first=True), "weight_hh_l0")
        self.second = WeightDrop(nn.LSTM(4, 4, batch_first=True), "weight_hh_l0")
        self.head = nn.Linear(4, 2)

    def _dropped(self, x: Tensor, *shape: int) -> Tensor:
        return x * x.new_empty(shape).bernoulli_(0.7).div_(0.7) if self.training else x

    def forward(self, tokens: Tensor) -> Tensor:
        x = F.embedding(tokens, self._dropped(self.embed.weight, 20, 1))
        for layer in (self.first, self.second):
            x = self._dropped(layer.steps(x), x.shape[0], 1, 4)
        logits: Tensor = self.head(x[:, -1])
        return logits


@pytest.mark.slow
def test_an_awd_lstm_is_exported_for_every_length() -> None:
    torch.manual_seed(0)
    for free in (None, {"x": {1: "length"}}):  # what the first trace fixes, the second must leave free
        bundle = export(AwdLstm(), TOKENS, free=free, **OPTIONS)
        assert len(bundle.manifest.sites) == 5


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_an_lstm_with_projections_takes_no_dropped_weights() -> None:
    layer = nn.LSTM(4, 6, proj_size=3, batch_first=True)
    message = refused(nn.Sequential(WeightDrop(layer, "weight_hh_l0"), nn.Linear(3, 2)), STEPS)
    assert "proj_size can't have dropped weights" in message
    assert "put a linear layer behind it" in message


def test_an_operator_that_fixes_the_rows_is_refused() -> None:
    def run(self: Any, x: Tensor) -> Tensor:
        return F.group_norm(x, 2, F.dropout(self.norm.weight, 0.3, self.training))

    message = refused(nn.Sequential(Run(run, norm=nn.GroupNorm(2, 6)), nn.Linear(6, 2)))
    assert "fixes the number of rows to 3 where all passes run at once" in message
    assert "Drop the inputs or outputs of the layer instead" in message


def test_slopes_are_dropped() -> None:
    def run(self: Any, x: Tensor) -> Tensor:
        return F.prelu(x - 0.5, F.dropout(self.slope.weight, 0.3, self.training))

    exported(nn.Sequential(Run(run, slope=nn.PReLU(6)), nn.Linear(6, 2)))


def test_an_operator_that_takes_no_dropped_weights_is_named_with_its_place() -> None:
    def run(self: Any, x: Tensor) -> Tensor:
        weight = F.dropout(self.up.weight, 0.3, self.training)
        return F.conv_transpose1d(x.unsqueeze(1), weight).mean(2)

    message = refused(nn.Sequential(Run(run, up=nn.ConvTranspose1d(1, 4, 3)), nn.Linear(4, 2)))
    assert "conv_transpose1d" in message
    assert "return self.run(self, *inputs)" in message
    assert "Drop the inputs or outputs of the layer instead" in message
