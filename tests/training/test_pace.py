from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.training import pace
from caveat.training.data.dataset import Part
from caveat.training.fit import Trainer
from caveat.training.objectives.values import regression
from caveat.training.recipe import Recipe

PART = Part(np.ones((10, 1), np.float32), np.arange(10.0))
RECIPE = Recipe(5, batch_size=4, lr=0.1, patience=None)


class Counting(nn.Linear):
    """A layer that counts the batches that train it."""

    batches = 0

    def forward(self, rows: Tensor) -> Tensor:
        self.batches += self.training
        return super().forward(rows).squeeze(-1)


@pytest.mark.parametrize(("tick", "steps"), [(0.001, 3 + 20), (2.0, 3 + 1)])
def test_the_time_of_all_epochs_is_told_from_some_steps(
    tick: float, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that goes on by a tick for each step, and for the validation."""
    clock = count()
    monkeypatch.setattr(pace, "perf_counter", lambda: next(clock) * tick)
    network = Counting(1, 1)
    trainer = Trainer(network, PART, regression(PART.y, "constant"), RECIPE, torch.device("cpu"))
    assert trainer.steps == 3
    assert pace.seconds(trainer, PART, RECIPE) == pytest.approx(5 * (3 + 1) * tick)
    assert network.batches == steps
