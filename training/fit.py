"""Trains a network with Adam on shuffled batches, until its validation loss stops falling."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from caveat.models.errors import CaveatError
from caveat.training.augmentation.augmentation import Augmentation
from caveat.training.data.dataset import Part
from caveat.training.objectives.objective import Objective
from caveat.training.preprocessing.unseen import Hiding
from caveat.training.processor import Processor
from caveat.training.recipe import Recipe
from caveat.training.regularisers.max_norm import bound
from caveat.training.regularisers.penalty import penalty
from caveat.training.regularisers.weights import others, weights
from caveat.training.schedule import Next, Schedule


@dataclass(frozen=True)
class Fitted:
    """How many epochs a training ran, and which of them, from 1 on, gave the weights."""

    epochs_run: int
    epoch_kept: int


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators for a block, and restore their state after the block."""
    gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


def fit(
    network: nn.Module,
    train: Part,
    validation: Part | None,
    objective: Objective,
    recipe: Recipe,
    processor: Processor | None = None,
    hiding: Hiding | None = None,
    augmentation: Augmentation | None = None,
) -> Fitted:
    """Train a network in place, and leave it in eval mode, on the CPU, with the weights of its best epoch.

    The best epoch is that with the lowest validation loss; without validation rows, the last epoch. The order
    of the rows and the dropout masks come from torch's global generators: see `seeded`.

    Parameters
    ----------
    network
        The network.
    train, validation
        Rows that the network takes, and targets in their own units; ``validation`` may be None.
    objective
        Loss, score and encoding of the targets.
    recipe
        The hyperparameters.
    processor
        What trains; one thread of the CPU unless given.
    hiding
        What is hidden of the training rows, at random in each batch.
    augmentation
        What changes the training rows, at random in each batch.

    Raises
    ------
    CaveatError
        If the loss is no longer finite.
    """
    with (processor or Processor()).used() as device:
        trainer = Trainer(network, train, objective, recipe, device, hiding, augmentation)
        try:
            fitted = _fit(trainer, validation, recipe)
        finally:
            network.to("cpu")
    network.eval()
    return fitted


class Trainer:
    """A network on a device, and what trains it there, step by step.

    Parameters
    ----------
    network, train, objective, recipe, hiding, augmentation
        See `fit`.
    device
        Where the network is trained. Rows move there batch by batch, so that they may be many.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Part,
        objective: Objective,
        recipe: Recipe,
        device: torch.device,
        hiding: Hiding | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.network = network.to(device)
        self.objective = objective
        self.device = device
        self.batch_size = recipe.batch_size
        self._hiding = hiding
        self._augmentation = augmentation
        self._rows, self._targets = torch.from_numpy(train.x), objective.encode(train.y)
        self._weights, self._recipe = weights(network), recipe
        groups: list[dict[str, Any]] = [
            {"params": self._weights, "weight_decay": recipe.weight_decay},
            {"params": others(network, self._weights), "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=recipe.lr)

    @property
    def steps(self) -> int:
        """Number of steps in an epoch."""
        return math.ceil(len(self._rows) / self.batch_size)

    def epoch(self, lr: float) -> Iterator[Tensor]:
        """Train for an epoch with a step size; yield each step's share of the mean loss per row."""
        self.network.train()
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        for batch in torch.split(torch.randperm(len(self._rows)), self.batch_size):
            self._optimiser.zero_grad()
            rows, measure = self._rows[batch], self.objective.loss
            rows = (self._hiding(rows) if self._hiding else rows).to(self.device)
            if self._augmentation:
                rows, measure = self._augmentation(rows, measure)
            loss = measure(self.network(rows), self._targets[batch].to(self.device))
            (loss + self._penalty() if self._penalised else loss).backward()
            self._optimiser.step()
            if self._recipe.max_norm is not None:
                bound(self._weights, self._recipe.max_norm)
            yield loss.detach().double() * (len(batch) / len(self._rows))

    @property
    def _penalised(self) -> bool:
        return bool(self._weights and (self._recipe.l1 or self._recipe.l2))

    def _penalty(self) -> Tensor:
        return penalty(self._weights, self._recipe.l1, self._recipe.l2)

    @torch.no_grad()
    def validate(self, part: Part) -> tuple[float, float]:
        """Return the validation loss and the score, without dropout."""
        self.network.eval()
        blocks = torch.split(torch.from_numpy(part.x), self.batch_size)
        outputs = torch.cat([self.network(block.to(self.device)) for block in blocks]).cpu()
        loss = self.objective.validation_loss(outputs, self.objective.encode(part.y)).item()
        return loss, self.objective.score(self.objective.answer(outputs), torch.from_numpy(part.y))


def _fit(trainer: Trainer, validation: Part | None, recipe: Recipe) -> Fitted:
    schedule, network = Schedule(recipe), trainer.network
    best, kept, weights = math.inf, 0, copy.deepcopy(network.state_dict())
    bar: tqdm[Any]
    with tqdm(total=recipe.epochs * trainer.steps, unit="step", disable=None) as bar:
        for epoch in range(1, recipe.epochs + 1):
            bar.set_description(f"train, epoch {epoch}", refresh=False)
            loss = _epoch(trainer, schedule.lr, bar)
            shown, better = {"loss": f"{loss:.4f}"}, True
            if validation is not None:
                validation_loss, score = trainer.validate(validation)
                shown[f"validation {trainer.objective.score_name}"] = f"{score:.4g}"
                loss, better = loss + validation_loss, validation_loss < best
            bar.set_postfix(shown)
            if not math.isfinite(loss):
                raise CaveatError(
                    f"the loss is not finite in epoch {epoch}; lower --lr, which is {recipe.lr:g}"
                )
            if better:
                kept, weights = epoch, copy.deepcopy(network.state_dict())
                best = best if validation is None else validation_loss
            following = schedule.after(better)
            if following is Next.END:
                break
            if following is Next.RETURN:
                network.load_state_dict(weights)
                bar.total = bar.n + schedule.left * trainer.steps
    network.load_state_dict(weights)
    return Fitted(epoch, kept)


def _epoch(trainer: Trainer, lr: float, bar: "tqdm[Any]") -> float:
    total = torch.zeros((), dtype=torch.float64, device=trainer.device)
    for loss in trainer.epoch(lr):
        total += loss
        bar.update()
    return total.item()
