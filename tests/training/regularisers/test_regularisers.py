"""What penalties and bounds do to the weights of a network that is trained."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from caveat.training.architecture import ARCHITECTURES
from caveat.training.data.dataset import Part
from caveat.training.fit import Trainer, fit, seeded
from caveat.training.objectives.classes import classification
from caveat.training.recipe import Recipe
from caveat.training.regularisers.weights import others, weights
from caveat.training.vocabulary import NetworkName

RECIPE = Recipe(epochs=30, batch_size=32, lr=1e-2, patience=None)
X = np.random.default_rng(0).normal(size=(300, 8, 8)).astype(np.float32)
TRAIN = Part(X, (X[:, 0, 0] * X[:, 1, 1] > 0).astype(np.int64))


def made(name: NetworkName = "mlp") -> nn.Module:
    return ARCHITECTURES[name].build((8, 8), 2, (16, 16), (0.1, 0.2, 0.2))


def trained(recipe: Recipe, name: NetworkName = "mlp") -> nn.Module:
    with seeded(0):
        network = made(name)
        fit(network, TRAIN, None, classification(2), recipe)
    return network


def size(network: nn.Module, of: Callable[[torch.Tensor], torch.Tensor]) -> float:
    return sum(float(of(weight.detach()).sum()) for weight in weights(network))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_bias_and_no_scale_of_a_norm_is_a_weight(name: NetworkName) -> None:
    network = made(name)
    found = weights(network)
    assert {parameter.ndim for parameter in others(network, found)} == {1}
    assert len(found) + len(others(network, found)) == len(list(network.parameters()))


def test_penalties_and_decay_make_weights_small() -> None:
    free = trained(RECIPE)
    for held in (
        replace(RECIPE, l1=1e-3),
        replace(RECIPE, l2=5e-3),
        replace(RECIPE, weight_decay=0.3),
        replace(RECIPE, max_norm=0.5),
    ):
        assert size(trained(held), torch.square) < 0.7 * size(free, torch.square), held


def test_l1_makes_more_weights_vanish_than_l2_at_the_same_size() -> None:
    sparse, dense = trained(replace(RECIPE, l1=3e-3)), trained(replace(RECIPE, l2=1e-2))

    def vanished(network: nn.Module) -> float:
        return size(network, lambda weight: weight.abs() < 1e-2) / size(network, torch.ones_like)

    assert vanished(sparse) > 0.6
    assert vanished(sparse) > vanished(dense) + 0.2


def test_l2_is_the_penalty_that_adam_knows_as_weight_decay() -> None:
    """Adam adds its factor times the weight to the gradient: that of half the factor times the square."""
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
        start = [parameter.detach().clone() for parameter in network.parameters()]
        recipe = replace(RECIPE, l2=0.05, epochs=1)
        trainer = Trainer(network, TRAIN, classification(2), recipe, torch.device("cpu"))
        assert len(list(trainer.epoch(1e-2))) == 10
    with seeded(0):
        other = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
        adam = torch.optim.Adam(other.parameters(), lr=1e-2, weight_decay=0.1)
        x, y = torch.from_numpy(TRAIN.x), torch.from_numpy(TRAIN.y)
        assert all(map(torch.equal, start, other.parameters()))
        for batch in torch.split(torch.randperm(len(x)), 32):
            adam.zero_grad()
            nn.functional.cross_entropy(other(x[batch]), y[batch]).backward()
            adam.step()
    for found, expected in zip(trainer.network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_decay_shrinks_weights_by_its_part_of_the_step_and_leaves_biases() -> None:
    network, nothing = made(), replace(classification(2), loss=lambda outputs, _: 0 * outputs.sum())
    before = [parameter.detach().clone() for parameter in network.parameters()]
    recipe = replace(RECIPE, weight_decay=0.5, batch_size=100)
    steps = list(Trainer(network, TRAIN, nothing, recipe, torch.device("cpu")).epoch(1e-2))
    assert len(steps) == 3
    for parameter, was in zip(network.parameters(), before, strict=True):
        left = (1 - 0.5 * 1e-2) ** 3 if was.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), was * left)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_units_weights_exceed_the_norm_in_any_network(name: NetworkName) -> None:
    network = trained(replace(RECIPE, epochs=2, max_norm=0.7), name)
    norms = [weight.detach().flatten(1).norm(dim=1).max().item() for weight in weights(network)]
    assert max(norms) <= 0.7 + 1e-5
    assert max(norms) > 0.69
