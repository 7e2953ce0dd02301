"""Trains a network with Adam on shuffled batches, with early stopping or a falling step size."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from caveat.models.errors import CaveatError
from caveat.training.data.dataset import Part
from caveat.training.objectives.objective import Objective


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training run.

    Parameters
    ----------
    epochs
        Most passes over the training rows.
    batch_size
        Rows per step.
    lr, weight_decay
        Step size of Adam (Kingma & Ba, ICLR 2015), and its L2 penalty.
    patience
        Epochs without a lower validation loss after which training stops. With None, training goes through
        all epochs, and the step size falls to 0 along half a cosine (Loshchilov & Hutter, ICLR 2017, eq. 5).
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int | None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator for a block, and restore its state after the block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def fit(
    network: nn.Module, train: Part, validation: Part | None, objective: Objective, recipe: Recipe
) -> None:
    """Train a network in place, and leave it in eval mode with the weights of its best epoch.

    The best epoch is that with the lowest validation loss; without validation rows, the last epoch. The order
    of the rows and the dropout masks come from torch's global generator: see `seeded`.

    Parameters
    ----------
    network
        The network.
    train, validation
        Preprocessed rows, and targets in their own units; ``validation`` may be None.
    objective
        Loss, score and encoding of the targets.
    recipe
        The hyperparameters.

    Raises
    ------
    CaveatError
        If the loss is no longer finite.
    """
    best, best_epoch, weights = float("inf"), 0, copy.deepcopy(network.state_dict())
    with tqdm(_losses(network, train, objective, recipe), total=recipe.epochs, unit="epoch") as bar:
        for epoch, loss in enumerate(bar, start=1):
            bar.set_postfix({"loss": f"{loss:.4f}"}, refresh=False)
            if validation is None:
                _refuse_infinite(epoch, loss, recipe)
                continue
            validation_loss, score = _validate(network, validation, objective, recipe.batch_size)
            _refuse_infinite(epoch, loss + validation_loss, recipe)
            bar.set_postfix({"loss": f"{loss:.4f}", f"validation {objective.score_name}": f"{score:.4g}"})
            if validation_loss < best:
                best, best_epoch, weights = validation_loss, epoch, copy.deepcopy(network.state_dict())
            elif recipe.patience and epoch - best_epoch >= recipe.patience:
                break
    if validation is not None:
        network.load_state_dict(weights)
    network.eval()


def _losses(network: nn.Module, train: Part, objective: Objective, recipe: Recipe) -> Iterator[float]:
    """Train epoch by epoch; yield the mean loss of each epoch."""
    rows, targets = torch.from_numpy(train.x), objective.encode(train.y)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    annealing = None if recipe.patience else CosineAnnealingLR(optimiser, recipe.epochs)
    for _ in range(recipe.epochs):
        yield _epoch(network, rows, targets, objective, optimiser, recipe.batch_size)
        if annealing is not None:
            annealing.step()


def _refuse_infinite(epoch: int, loss: float, recipe: Recipe) -> None:
    if not math.isfinite(loss):
        raise CaveatError(f"the loss is not finite in epoch {epoch}; lower --lr, which is {recipe.lr:g}")


def _epoch(
    network: nn.Module,
    rows: Tensor,
    targets: Tensor,
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    batch_size: int,
) -> float:
    """Train for one epoch; return the mean loss per row."""
    network.train()
    total = 0.0
    for batch in torch.split(torch.randperm(len(rows)), batch_size):
        optimiser.zero_grad()
        loss = objective.loss(network(rows[batch]), targets[batch])
        loss.backward()
        optimiser.step()
        total += loss.item() * len(batch)
    return total / len(rows)


@torch.no_grad()
def _validate(network: nn.Module, part: Part, objective: Objective, batch_size: int) -> tuple[float, float]:
    """Return the validation loss and the score, without dropout."""
    network.eval()
    outputs = torch.cat([network(block) for block in torch.split(torch.from_numpy(part.x), batch_size)])
    loss = objective.validation_loss(outputs, objective.encode(part.y)).item()
    return loss, objective.score(objective.answer(outputs), torch.from_numpy(part.y))
