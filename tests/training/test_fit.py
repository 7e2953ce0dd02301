from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.models.errors import CaveatError
from caveat.models.networks.mlp import MLP
from caveat.training.data.dataset import Part
from caveat.training.fit import fit, seeded
from caveat.training.objectives.classes import classification
from caveat.training.objectives.values import regression
from caveat.training.recipe import Recipe

RECIPE = Recipe(epochs=30, batch_size=32, lr=1e-2, weight_decay=0.0, patience=30)


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
    recipe = Recipe(epochs=2, batch_size=32, lr=1e-2, weight_decay=0.0, patience=2)
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
    recipe = Recipe(epochs=len(losses), batch_size=4, lr=0.1, weight_decay=0.0, patience=patience)
    fit(network, part, zero, regression(part.y, "constant"), recipe)
    assert network.epoch.item() == best
    assert len(losses) - len(list(network.script)) == stopped


def test_without_patience_the_step_size_falls_to_0_and_the_best_epoch_is_kept() -> None:
    network = Scripted([3, 1, 2, 2])
    part = Part(np.ones((4, 1), np.float32), np.array([-1.0, 1.0, -1.0, 1.0]))
    recipe = Recipe(epochs=4, batch_size=4, lr=0.1, weight_decay=0.0, patience=None)
    fit(network, part, Part(part.x, np.zeros(4)), regression(part.y, "constant"), recipe)
    assert network.epoch.item() == 2
    assert not list(network.script)


def test_without_validation_rows_the_last_epoch_is_kept() -> None:
    """With a constant gradient, each step of Adam is its step size, so that their sum is the weight."""
    network = Scripted([])
    part = Part(np.ones((4, 1), np.float32), np.array([99.0, 101.0, 99.0, 101.0]))
    aim = replace(regression(part.y, "constant"), loss=lambda outputs, targets: -outputs.mean())
    fit(network, part, None, aim, Recipe(4, batch_size=4, lr=0.1, weight_decay=0.0, patience=None))
    assert network.epoch.item() == 4
    assert not network.training
    steps = 0.1 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    assert network.weight.item() == pytest.approx(steps.sum(), rel=1e-4)


def test_the_bar_shows_loss_and_score(capsys: pytest.CaptureFixture[str]) -> None:
    trained(0, Recipe(epochs=1, batch_size=32, lr=1e-2, weight_decay=0.0, patience=1))
    bar = capsys.readouterr().err
    assert "loss=" in bar
    assert "validation accuracy=" in bar


@pytest.mark.parametrize("validated", [True, False])
def test_a_loss_that_is_not_finite_ends_the_training(validated: bool) -> None:
    part = Part(TRAIN.x, TRAIN.x[:, 0].astype(np.float64))
    validation = part if validated else None
    recipe = Recipe(epochs=50, batch_size=32, lr=1e10, weight_decay=0.0, patience=50)
    network = MLP((2,), None, hidden=(32,), dropout=(0.1,))
    with pytest.raises(CaveatError, match=r"loss is not finite in epoch \d+; lower --lr, which is 1e\+10"):
        fit(network, part, validation, regression(part.y, "constant"), recipe)
