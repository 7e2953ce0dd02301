"""Networks and options that are refused, with a message that says what to change."""

import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from caveat.training.errors import ExportError
from caveat.training.export.export import export
from tests.training.export.kinds import Run

ROWS = torch.rand(3, 6, generator=torch.Generator().manual_seed(0))  # the same for all that collect the tests
DROPPING = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 2))
MEAN = {"task": "regression", "outputs": "mean"}


def refused(module: nn.Module, example: Any = ROWS, **options: Any) -> str:
    options = {"task": "classification", "outputs": "logits", "name": "refused", **options}
    with pytest.raises(ExportError) as refusal:
        export(module, example, **options)
    return str(refusal.value)


def dropping(run: Any, **parts: nn.Module) -> nn.Module:
    """Make a network that computes ``run`` after a correct dropout."""
    return nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 6), Run(run, **parts))


def behind(module: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 6), module)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rand_like(x)


class Gumbel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.gumbel_softmax(x) if self.training else x


class Choice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, torch.multinomial(x[0].softmax(0), 2)] if self.training else x[:, :2]


class Centred(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class BatchAttention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        weights = (x @ x.T).softmax(-1)
        return weights @ x


def _branch(self: Any, x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def _packed(self: Any, x: Tensor) -> Tensor:
    steps = x[:, :, None].expand(-1, -1, 4)
    packed = nn.utils.rnn.pack_padded_sequence(steps, [6] * len(x), batch_first=True)
    last: Tensor = self.recurrent(packed)[1][-1]
    return last


@pytest.mark.parametrize(
    ("module", "said", "advised"),
    [
        (nn.Linear(6, 2), "no active dropout", "add nn.Dropout"),
        (nn.Sequential(nn.Dropout(0.0), nn.Linear(6, 2)), "no active dropout", "--insert relu:0.1"),
        (
            dropping(lambda self, x: F.dropout(x)),
            "draws at random in eval mode too",
            "training=self.training",
        ),
        (behind(Noise()), "x * torch.rand_like(x)", "if self.training"),
        (behind(nn.RReLU()), "aten.rrelu", "turn it off"),
        (behind(Choice()), "torch.multinomial(x[0]", "turn it off"),
        (behind(Gumbel()), "F.gumbel_softmax(x)", "turn it off"),
        (dropping(_branch), "x.sum() > 0", "torch.where"),
        (behind(Centred()), "return x - x.mean(0)", "Compute each row on its own"),
        (dropping(lambda self, x: x.softmax(0)), "rows", "on its own"),
        (behind(BatchAttention()), "(x @ x.T).softmax(-1)", "Compute each row on its own"),
        (dropping(lambda self, x: x.cumsum(0)), "rows", "on its own"),
        (
            nn.Sequential(nn.Dropout(), nn.Linear(6, 2), nn.BatchNorm1d(2, track_running_stats=False)),
            "rows",
            "running statistics",
        ),
        (
            dropping(_packed, recurrent=nn.GRU(4, 2, 2, dropout=0.5, batch_first=True)),
            "packs a sequence",
            "Feed the padded tensor",
        ),
        (dropping(lambda self, x: (x, x[:, :1])), "several outputs: 0, 1", "--output"),
        (dropping(lambda self, x: {"logits": x, "aux": x}), "several outputs: logits, aux", "--output"),
        (dropping(lambda self, x: x.flatten()), "one number per class", "answers 3 rows with shape (18,)"),
        (
            dropping(lambda self, x: x.unsqueeze(1)),
            "one number per class, shape (rows, classes)",
            "3 rows with shape (3, 1, 6)",
        ),
        (
            dropping(lambda self, x: x * random.random() if self.training else x),
            "something other than PyTorch, such as Python's random",
            "Draw with torch.rand",
        ),
        (
            Run(lambda self, x: x + 0 * F.dropout(x, 0.5, self.training)),
            "no draw reaches the output",
            "Check",
        ),
        (
            dropping(lambda self, x: (x, x) if self.training else x),
            "training mode",
            "eval mode",
        ),
        (
            dropping(lambda self, x: torch.cat([x, x], 1) if self.training else x),
            "training mode",
            "eval mode",
        ),
        (dropping(lambda self, x: 2 * x if self.training else x), "training mode", "apart from its draws"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_network_is_refused_with_what_to_change(module: nn.Module, said: str, advised: str) -> None:
    message = refused(module)
    assert said in message
    assert advised in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"example": torch.ones(3, 7)}, "does not run on the example of shape (3, 7)"),
        ({"example": torch.ones(0, 6)}, "the example of x has no rows"),
        ({"example": torch.tensor(1.0)}, "the example of x has no rows"),
        ({"example": torch.full((3, 6), torch.nan)}, "the example of x holds values that are not finite"),
        ({"example": ROWS.double()}, "The example is torch.float64, the weights are torch.float32"),
        ({"example": torch.ones(3, 6, dtype=torch.int64)}, "The example is torch.int64, the weights are"),
        ({"name": "MyNet"}, "a model can't be called 'MyNet': a name has up to 64 lower-case letters"),
        ({"outputs": "probabilities"}, "logits are exported with --outputs logits. If each class"),
        ({"example": {"y": ROWS}}, "forward() got an unexpected keyword argument 'y'"),
        ({"classes": ["a", "b", "c"]}, "3 class names for 2 outputs"),
        ({**MEAN, "classes": ["a", "b"]}, "a regression has no classes"),
        ({"targets": ["a", "b"]}, "2 names of targets; this network has at most one target"),
        ({**MEAN, "targets": ["a"]}, "1 names of targets for 2 outputs"),
        ({**MEAN, "target": "a"}, "one target, 'a', for 2 outputs; name each of them (--targets a,b)"),
        ({"output": "logits"}, "no output 'logits'; it has one"),
        ({"sites": ["encoder.*"]}, "--sites encoder.*: no dropout of the network has that name; it has 0"),
        ({"rates": {"head": 0.5}}, "--rate head: no dropout of the network has that name; it has 0"),
        ({"rates": {"*": 1.0}}, "--rate *=1.0: a rate is at least 0 and below 1"),
        ({"insert": {"relu": 0.1}}, "--insert relu: no operator and no module of the network has that name"),
        ({"insert": {"linear": 1.5}}, "--insert linear:1.5: a rate is above 0 and below 1"),
        ({"outputs": "mean"}, "a classification answers with logits or probabilities, not mean"),
        ({"task": "regression"}, "a regression answers with mean or mean_log_variance, not logits"),
        ({"free": {"z": {1: "width"}}}, "given for z; the inputs are x. To name inputs, give the example"),
        ({"free": {"x": {1: "rows"}}}, "a free size can't be called 'rows'"),
        ({"free": {"x": {1: "passes"}}}, "a free size can't be called 'passes'"),
        ({"free": {"x": {1: "lambda"}}}, "a free size can't be called 'lambda'"),
        ({"free": {"x": {1: "Length"}}}, "a free size can't be called 'Length'"),
        ({"free": {"x": {2: "width"}}}, "x has no axis 2 whose size could be free"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_with_the_reason(options: dict[str, Any], message: str) -> None:
    assert message in refused(DROPPING, **options)


@pytest.mark.parametrize(
    ("outputs", "shape", "expected"),
    [
        ("mean", (1, 6), "shape (rows,), or (rows, targets) for several targets"),
        (
            "mean_log_variance",
            (6,),
            "shape (rows, 2), or (rows, targets, 2) for several targets, or as two tensors",
        ),
        ("mean_log_variance", (3, 1, 2), "shape (rows, 2), or (rows, targets, 2) for several targets"),
    ],
)
def test_values_of_another_shape_are_refused_with_the_expected_shapes(
    outputs: str, shape: tuple[int, ...], expected: str
) -> None:
    module = dropping(lambda self, x: x.reshape(-1, *shape))
    message = refused(module, task="regression", outputs=outputs)
    assert expected in message


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused_by_its_name() -> None:
    assert "a TorchScript module can't be traced" in refused(torch.jit.trace(nn.Linear(6, 2), ROWS))


def test_a_site_without_a_switch_cannot_be_left_out() -> None:
    module = dropping(lambda self, x: x * torch.rand_like(x) if self.training else x / 2)
    assert "drawn by the network's own code" in refused(module, sites=["0"])


def test_a_size_that_the_network_fixes_cannot_be_free() -> None:
    message = refused(DROPPING, free={"x": {1: "width"}})
    assert message.startswith("the network fixes the size width to 6; leave it out of the free sizes, or ")
