import io
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.models.errors import CaveatError
from caveat.models.networks.mlp import MLP
from caveat.training.data.dataset import Part
from caveat.training.fit import Fitted, Trainer, fit, seeded
from caveat.training.objectives.classes import classification
from caveat.training.objectives.values import regression
from caveat.training.processor import Processor
from caveat.training.recipe import Recipe

RECIPE = Recipe(epochs=30, batch_size=32, lr=1e-2, patience=30)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def moons(rows: int, seed: int) -> Part:
    x = np.random.default_rng(seed).normal(size=(rows, 2)).astype(np.float32)
    return Part(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64))


TRAIN, VALIDATION = moons(300, 0), moons(200, 1)


def trained(seed: int, recipe: Recipe = RECIPE) -> nn.Module:
    with seeded(seed):
        network = MLP((2,), 2, hidden=(32,), dropout=(0.1,))
        fit(network, TRAIN, VALIDATION, classification(2), recipe)
    return network


def weights(network: nn.Module) -> list[float]:
    return torch.cat([value.ravel() for value in network.state_dict().values()]).tolist()


def test_a_network_learns_classes_that_are_not_linearly_separable() -> None:
    network = trained(seed=0)
    assert not network.training
    right = network(torch.from_numpy(VALIDATION.x)).argmax(dim=1).numpy() == VALIDATION.y
    assert right.mean() > 0.95


def test_the_seed_decides_every_weight() -> None:
    recipe = Recipe(epochs=2, batch_size=32, lr=1e-2, patience=2)
    first, again, other = (weights(trained(seed, recipe)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_state_of_torchs_generator_is_restored() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0):
        torch.rand(100)
    assert torch.equal(torch.rand(3), expected)


class Scripted(nn.Module):
    """A network whose validation loss follows a script, and whose weight counts its epochs."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.epoch: Tensor = nn.Buffer(torch.zeros(()))
        self.script: Iterator[float] = iter(losses)

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            self.epoch += 1
            return self.weight * rows[:, 0]
        return torch.full((len(rows),), next(self.script))


@pytest.mark.parametrize(
    ("losses", "patience", "best", "stopped"),
    [([5, 3, 4, 4, 1], 2, 2, 4), ([5, 3, 4, 4, 1], 3, 5, 5), ([5, 6, 7], 1, 1, 2), ([2, 2, 2], 2, 1, 3)],
)
def test_training_stops_when_patience_ends_and_keeps_the_best_epoch(
    losses: list[float], patience: int, best: int, stopped: int
) -> None:
    network = Scripted([loss**0.5 for loss in losses])
    part = Part(np.zeros((4, 1), np.float32), np.array([-1.0, 1.0, -1.0, 1.0]))
    zero = Part(part.x, np.zeros(4))
    recipe = Recipe(epochs=len(losses), batch_size=4, lr=0.1, patience=patience)
    fitted = fit(network, part, zero, regression(part.y, "constant"), recipe)
    assert fitted == Fitted(epochs_run=stopped, epoch_kept=best)
    assert network.epoch.item() == best
    assert len(losses) - len(list(network.script)) == stopped


def test_without_patience_the_step_size_falls_to_0_and_the_best_epoch_is_kept() -> None:
    network = Scripted([3, 1, 2, 2])
    part = Part(np.ones((4, 1), np.float32), np.array([-1.0, 1.0, -1.0, 1.0]))
    recipe = Recipe(epochs=4, batch_size=4, lr=0.1, patience=None, annealed=True)
    fit(network, part, Part(part.x, np.zeros(4)), regression(part.y, "constant"), recipe)
    assert network.epoch.item() == 2
    assert not list(network.script)


def test_without_validation_rows_the_last_epoch_is_kept() -> None:
    """With a constant gradient, each step of Adam is its step size, so that their sum is the weight."""
    network = Scripted([])
    part = Part(np.ones((4, 1), np.float32), np.array([99.0, 101.0, 99.0, 101.0]))
    aim = replace(regression(part.y, "constant"), loss=lambda outputs, targets: -outputs.mean())
    recipe = Recipe(4, batch_size=4, lr=0.1, patience=None, annealed=True)
    assert fit(network, part, None, aim, recipe) == Fitted(epochs_run=4, epoch_kept=4)
    assert network.epoch.item() == 4
    assert not network.training
    steps = 0.1 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    assert network.weight.item() == pytest.approx(steps.sum(), rel=1e-4)


def test_a_falling_step_size_falls_from_the_best_epoch_on() -> None:
    """The second epoch is the best; after the fourth, its weights train on for two epochs."""
    network = Scripted([5, 3, 4, 4, 2, 1])
    part = Part(np.ones((4, 1), np.float32), np.array([-1.0, 1.0, -1.0, 1.0]))
    recipe = Recipe(epochs=9, batch_size=4, lr=0.1, patience=2, annealed=True)
    fitted = fit(network, part, Part(part.x, np.zeros(4)), regression(part.y, "constant"), recipe)
    assert fitted == Fitted(epochs_run=6, epoch_kept=6)
    assert network.epoch.item() == 4
    assert not list(network.script)


def test_a_terminal_sees_epoch_loss_and_score(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    trained(0, Recipe(epochs=1, batch_size=32, lr=1e-2, patience=1))
    bar = terminal.getvalue()
    assert "train, epoch 1: 100%" in bar
    assert "10/10" in bar
    assert "loss=" in bar
    assert "validation accuracy=" in bar


def test_what_is_no_terminal_sees_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    trained(0, Recipe(epochs=1, batch_size=32, lr=1e-2, patience=1))
    assert capsys.readouterr() == ("", "")


def test_every_batch_goes_to_the_device_of_the_network() -> None:
    network = MLP((2,), 2, hidden=(32,), dropout=(0.1,))
    trainer = Trainer(network, TRAIN, classification(2), RECIPE, torch.device("meta"))
    losses = list(trainer.epoch(0.1))
    assert len(losses) == trainer.steps == 10
    assert {loss.device.type for loss in losses} == {"meta"}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_of_a_processor_train_and_the_callers_come_back(threads: int) -> None:
    class Counting(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            seen.add(torch.get_num_threads())
            return super().forward(rows)

    seen: set[int] = set()
    before = torch.get_num_threads()
    fit(Counting(2, 2), TRAIN, VALIDATION, classification(2), replace(RECIPE, epochs=1), Processor(threads))
    assert seen == {threads}
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_and_the_network_comes_back() -> None:
    found = []
    for _ in range(2):
        with seeded(0):
            network = MLP((2,), 2, hidden=(32,), dropout=(0.1,))
            fit(network, TRAIN, VALIDATION, classification(2), RECIPE, Processor(device="cuda"))
        assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
        found.append(weights(network))
    assert found[0] == found[1]


@pytest.mark.parametrize("validated", [True, False])
def test_a_loss_that_is_not_finite_ends_the_training(validated: bool) -> None:
    part = Part(TRAIN.x, TRAIN.x[:, 0].astype(np.float64))
    validation = part if validated else None
    recipe = Recipe(epochs=50, batch_size=32, lr=1e10, patience=50)
    network = MLP((2,), None, hidden=(32,), dropout=(0.1,))
    with pytest.raises(CaveatError, match=r"loss is not finite in epoch \d+; lower --lr, which is 1e\+10"):
        fit(network, part, validation, regression(part.y, "constant"), recipe)
