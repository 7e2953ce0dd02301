"""Networks as other people have them: what can be served is, and the rest is refused with what to change."""

import random
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.training.errors import ExportError
from caveat.training.export.export import export
from tests.training.export.exporting import OPTIONS, ROWS, STEPS, behind, exported, refused
from tests.training.export.kinds import Run


def audio(augment: nn.Module) -> nn.Module:
    """Make a network over steps, which augments its rows in training mode."""
    return Run(
        lambda self, x: self.head(self.drop(self.augment(x)).mean(1)),
        augment=augment,
        drop=nn.Dropout(0.3),
        head=nn.Linear(4, 3),
    )


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
