"""Networks as other people have them: what can be served is, and the rest is refused with what to change."""

import copy
import random
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from caveat.models.bundles.bundle import PASSES, Bundle
from caveat.models.predictor import Predictor
from caveat.training.errors import ExportError
from caveat.training.export.export import export
from tests.training.export.kinds import MovingAverage, Run, WeightDrop, WholeWords

ROWS = torch.rand(3, 6, generator=torch.Generator().manual_seed(0))
STEPS = torch.rand(3, 7, 4, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(20, (3, 7), generator=torch.Generator().manual_seed(0))
OPTIONS: dict[str, Any] = {"task": "classification", "outputs": "logits", "name": "foreign"}


def exported(module: nn.Module, example: Tensor = ROWS) -> Bundle:
    return export(module, example, **OPTIONS)


def refused(module: nn.Module, example: Tensor = ROWS) -> str:
    with pytest.raises(ExportError) as refusal:
        exported(module, example)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def behind(*modules: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.4), *modules)


def audio(augment: nn.Module) -> nn.Module:
    """Make a network over steps, which augments its rows in training mode."""
    return Run(
        lambda self, x: self.head(self.drop(self.augment(x)).mean(1)),
        augment=augment,
        drop=nn.Dropout(0.3),
        head=nn.Linear(4, 3),
    )


# Modules that learn as they run.


class BatchRenorm(nn.Module):
    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((6,), 0.2))
        self.register_buffer("spread", torch.full((6,), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return (x - self.mean) / self.spread
        mean, spread = x.detach().mean(0), x.detach().std(0) + 0.1
        ratio, shift = (spread / self.spread).clamp(0.3, 3), (mean - self.mean) / self.spread
        self.mean += 0.01 * (mean - self.mean)
        self.spread += 0.01 * (spread - self.spread)
        return (x - mean) / spread * ratio + shift


class Counts(nn.Module):
    """Counts its runs, and may answer by the count."""

    count: Tensor

    def __init__(self, weight: float, buffer: bool = True, rate: float = 0.0, in_eval: bool = False) -> None:
        super().__init__()
        self.weight = weight
        self.rate = rate
        self.in_eval = in_eval
        if buffer:
            self.register_buffer("count", torch.zeros(()))
        else:
            self.count = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.in_eval:
            self.count += 1
        return F.dropout(x, self.rate, self.training) * (1 + self.weight * self.count)


@pytest.mark.parametrize(
    ("learning", "sites"),
    [
        (BatchRenorm(), 1),
        (MovingAverage(), 1),
        (nn.Sequential(MovingAverage(), nn.Dropout(0.2)), 2),
        (Counts(0.1), 1),
        (Counts(0.0, rate=0.3), 2),
    ],
)
def test_a_module_that_learns_as_it_runs_is_held_still(learning: nn.Module, sites: int) -> None:
    network = behind(learning, nn.Linear(6, 3))
    before = copy.deepcopy(network.state_dict())
    bundle = exported(network)
    assert len(bundle.manifest.sites) == sites
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("learning", "said", "advised"),
    [
        (Counts(0.1, rate=0.3), "changes its own 2.count as it runs in training mode", "make it a buffer"),
        (
            Counts(0.1, buffer=False),
            "changes its own 2.count as it runs in training mode",
            "make it a buffer",
        ),
        (Counts(0.1, in_eval=True), "changes its own 2.count as it runs, in eval mode too", "self.training"),
    ],
)
def test_a_network_that_answers_by_its_past_is_refused(learning: nn.Module, said: str, advised: str) -> None:
    message = refused(behind(learning, nn.Linear(6, 3)))
    assert said in message
    assert advised in message
    assert "numpy" not in message


def test_the_weights_of_a_network_stay_as_they_are() -> None:
    network = nn.Sequential(
        nn.utils.parametrizations.orthogonal(nn.Linear(6, 6)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)),
        nn.Dropout(0.3),
        nn.utils.spectral_norm(nn.Linear(6, 3)),
    )
    before = copy.deepcopy(network.state_dict())
    exported(network)
    assert network.training
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


# Dropout of rate 1.


@pytest.mark.parametrize(
    "whole", [nn.Dropout(1.0), nn.AlphaDropout(1.0), nn.Sequential(nn.Dropout(1.0), nn.Dropout(0.0))]
)
def test_dropout_of_rate_1_alone_is_no_active_dropout(whole: nn.Module) -> None:
    message = refused(nn.Sequential(nn.Linear(6, 6), whole, nn.Linear(6, 2)))
    assert "the network has no active dropout (1" in message
    assert "drops every unit, at rate 1" in message


def test_dropout_of_rate_1_before_the_output_lets_no_draw_through() -> None:
    assert "no draw reaches the output" in refused(behind(nn.Dropout(1.0), nn.Linear(6, 2)))


def test_dropout_of_rate_1_can_be_given_another_rate() -> None:
    network = nn.Sequential(nn.Linear(6, 6), nn.Dropout(1.0), nn.Linear(6, 2))
    bundle = export(network, ROWS, rates={"1": 0.5}, **OPTIONS)
    assert [(site.rate, site.trained) for site in bundle.manifest.sites] == [(0.5, False)]


def test_what_is_dropped_in_place_stays_dropped() -> None:
    def run(self: Any, x: Tensor) -> Tensor:
        hidden = self.a(x)
        F.dropout(hidden, 1.0, self.training, inplace=True)
        return self.head(hidden + self.drop(x))  # type: ignore[no-any-return]

    exported(Run(run, a=nn.Linear(6, 6), drop=nn.Dropout(0.4), head=nn.Linear(6, 2)))


# Embeddings.


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


# Dropped weights.


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


# TorchScript, compiled, wrapped and quantized networks.


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: nn.Module = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.ReLU()))
    return made


def test_a_torchscript_module_inside_is_refused_by_its_name() -> None:
    message = refused(behind(scripted(), nn.Linear(6, 2)))
    assert message == (
        "a TorchScript module can't be traced, and part 2 of the network is one; give the nn.Module that it "
        "was made from"
    )
    with pytest.raises(ExportError, match="TorchScript module can't be traced, and the network is one"):
        exported(scripted())
    with pytest.raises(ExportError, match="TorchScript"):
        export(behind(nn.Linear(6, 2)), ROWS, preprocess=scripted(), **OPTIONS)


def test_a_function_of_torchscript_is_traced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twice = torch.jit.script(_twice)
    exported(behind(Run(lambda self, x: twice(x)), nn.Linear(6, 2)))


def _twice(x: Tensor) -> Tensor:
    return 2 * x


def compiled(network: nn.Module) -> nn.Module:
    made: Any = torch.compile(network, backend="eager")
    return made  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        compiled,
        lambda network: nn.DataParallel(compiled(network)),
        lambda network: nn.Sequential(compiled(network[0]), *network[1:]),
    ],
)
def test_wrappers_are_left_out(wrap: Callable[[nn.Sequential], nn.Module]) -> None:
    network = behind(nn.Linear(6, 2))
    plain, wrapped = exported(network), exported(wrap(network))
    assert [site.name for site in wrapped.manifest.sites] == ["1"]
    assert wrapped.files == plain.files


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("quantize", "said", "advised"),
    [
        (
            lambda network: torch.ao.quantization.quantize_dynamic(network, {nn.Linear}),
            "part 0 of the network is quantized: it is a torch.ao.nn.quantized.dynamic",
            "Export the floating-point network",
        ),
        (
            lambda network: torch.ao.quantization.prepare_qat(_configured(network.train())),
            "part 0.weight_fake_quant of the network is prepared for quantization",
            "as it was before prepare",
        ),
        (
            lambda network: torch.ao.quantization.prepare(_configured(network.eval())),
            "prepared for quantization: it is a HistogramObserver",
            "as it was before prepare",
        ),
    ],
)
def test_a_quantized_network_is_refused(
    quantize: Callable[[nn.Module], nn.Module], said: str, advised: str
) -> None:
    message = refused(quantize(behind(nn.Linear(6, 2))))
    assert said in message
    assert advised in message


def _configured(network: nn.Module) -> nn.Module:
    network.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
    if network.training:
        network.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    return network


class Keeps(nn.Module):
    """Keeps something beside tensors in its state."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept

    def get_extra_state(self) -> Any:
        return self.kept

    def set_extra_state(self, state: Any) -> None:
        self.kept = state

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("kept", [{"scale": 1}, None, "text", [1, 2]])
@pytest.mark.parametrize("half", [False, True])
def test_state_that_is_no_tensor_is_left_alone(kept: Any, half: bool) -> None:
    network = behind(Keeps(kept), nn.Linear(6, 2))
    exported(network.half() if half else network)


def test_what_cannot_be_copied_is_said() -> None:
    assert "can't be copied: cannot pickle '_thread.lock'" in refused(behind(Keeps(threading.Lock())))


# Draws of other generators, and layers left out at random.


class MasksWithNumpy(nn.Module):
    """SpecAugment, as transformers makes it."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            mask = np.zeros(tuple(x.shape[:2]), dtype=bool)
            for row in range(x.shape[0]):
                start = np.random.randint(0, x.shape[1] - 2)  # noqa: NPY002
                mask[row, start : start + 2] = True
            x = x.masked_fill(torch.tensor(mask).unsqueeze(-1), 0.0)
        return x


class Draws(nn.Module):
    def __init__(self, draw: Callable[[], float], always: bool = False) -> None:
        super().__init__()
        self.draw = draw
        self.always = always

    def forward(self, x: Tensor) -> Tensor:
        return x * self.draw() if self.training or self.always else x


class LeavesOut(nn.Module):
    """Layers of which a run leaves some out."""

    def __init__(self, draw: Callable[[], Any]) -> None:
        super().__init__()
        self.draw = draw
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            if self.training and self.draw() < 0.5:
                continue
            x = layer(x).relu()
        return x


@pytest.mark.parametrize(
    ("augment", "line"),
    [
        (MasksWithNumpy(), "np.random.randint(0, x.shape[1] - 2)"),
        (Draws(lambda: float(np.random.rand())), "np.random.rand()"),  # noqa: NPY002
        (Draws(lambda: random.gauss(0, 1)), "random.gauss(0, 1)"),
        (LeavesOut(lambda: np.random.uniform(0, 1)), "np.random.uniform(0, 1)"),  # noqa: NPY002
        (LeavesOut(lambda: random.random()), "random.random()"),
    ],
)
def test_a_draw_of_another_generator_is_refused_with_its_line(augment: nn.Module, line: str) -> None:
    message = refused(audio(augment), STEPS)
    assert "with something other than PyTorch, such as Python's random or numpy.random, in File" in message
    assert line in message
    assert "test_foreign.py" in message
    assert "Draw with torch.rand, torch.randn or torch.bernoulli, or switch the draw off" in message


def test_a_draw_of_another_generator_in_eval_mode_is_refused_with_its_line() -> None:
    message = refused(audio(Draws(lambda: random.random(), always=True)), STEPS)
    assert "draws at random in eval mode too, with something other than PyTorch" in message
    assert "test_foreign.py" in message
    assert "Guard the draw with `if self.training`" in message


@pytest.mark.parametrize("draw", [lambda: torch.rand([]), lambda: torch.rand(1).item()])
def test_layers_left_out_by_a_draw_are_refused_without_a_word_of_pytorch(
    draw: Callable[[], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    message = refused(audio(LeavesOut(draw)), STEPS)
    assert "control flow depends on the values of a row or of a draw" in message
    assert "if self.training and self.draw() < 0.5" in message
    assert "layerdrop=0" in message
    assert capfd.readouterr() == ("", "")
