"""What a network is trained towards, and how its outputs become the answers that a client reads."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from training.data.dataset import Task
from training.data.errors import DataError


class Unscale(nn.Module):
    """``value * scale + mean``: from the scaled target back to its own units.

    In float64: float32 holds the seconds since 1970 to two minutes only.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: float, scale: float) -> None:
        super().__init__()
        # Of one axis, not none: so the product takes their type.
        self.register_buffer("mean", torch.tensor([mean], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor([scale], dtype=torch.float64))

    def forward(self, values: Tensor) -> Tensor:
        """Map values (B,) to values (B,), in float64."""
        return values * self.scale + self.mean


@dataclass(frozen=True)
class Objective:
    """What a network is trained towards.

    Parameters
    ----------
    loss
        Of a network's outputs and encoded targets, a mean over rows.
    encode
        From the targets of a data set, (B,), to those of the loss.
    answer
        From a network's outputs to what a client reads.
    score_name, score
        What a person follows while it trains, computed from answers and targets.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    encode: Callable[[NDArray[Any]], Tensor]
    answer: nn.Module
    score_name: str
    score: Callable[[Tensor, Tensor], float]


def objective(task: Task, y: NDArray[Any]) -> Objective:
    """Make the objective of a task.

    Classes are learned by cross-entropy and answered as probabilities; values are learned by squared
    error on the standardised target and answered in its own units.

    Parameters
    ----------
    y
        Targets of the training rows, shape (B,); they decide a regression's scale.

    Raises
    ------
    DataError
        If the targets of a regression have no scale: they are all the same, or too large to square.
    """
    if task == "classification":
        return Objective(F.cross_entropy, torch.from_numpy, nn.Softmax(dim=-1), "accuracy", _accuracy)
    mean, scale = _moments(y)

    def encode(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy((values - mean) / scale).float()

    return Objective(F.mse_loss, encode, Unscale(mean, scale), "RMSE", _rmse)


def _moments(y: NDArray[Any]) -> tuple[float, float]:
    if y.min() == y.max():
        raise DataError(
            f"the target is {y[0]:g} in all {len(y)} rows to train on; there is nothing to learn from them "
            "(another --seed splits the rows otherwise)"
        )
    with np.errstate(over="ignore"):
        mean, scale = float(y.mean()), float(y.std())
    if not math.isfinite(scale) or scale == 0:
        raise DataError(
            f"the target goes from {y.min():g} to {y.max():g}, which float64 can't square; rescale it"
        )
    return mean, scale


def _accuracy(probabilities: Tensor, y: Tensor) -> float:
    return float((probabilities.argmax(dim=-1) == y).double().mean())


def _rmse(values: Tensor, y: Tensor) -> float:
    return float((values - y).square().mean().sqrt())
