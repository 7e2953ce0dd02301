"""The training objective of a network, and the conversion of its outputs to a client's answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models.bundles.signature import Inputs
from caveat.models.predictor import Predictor
from caveat.training.vocabulary import Outputs

Adjust = Callable[[Predictor, Inputs, NDArray[Any], int, int], None]


@dataclass(frozen=True)
class Objective:
    """The training objective of a network.

    Parameters
    ----------
    width
        Number of the network's outputs; None for a single value.
    outputs
        Kind of the answers (see `caveat.models.tasks.task.Task.kinds`).
    loss
        Loss of a network's outputs and encoded targets, as a mean over rows.
    validation_loss
        The loss without weights on the rows, which decides the best epoch.
    encode
        Function from the targets of a data set, (B,) or (B, T), to those of the loss.
    answer
        Module from a network's outputs to the answers that a client reads.
    score_name, score
        Name and function of a score, of answers and targets, that is shown during training.
    adjust
        Function that adjusts ``answer`` to rows that did not train the network, after which the network is
        exported anew. Its arguments are the predictor, rows, their targets, samples and seed.
    """

    width: int | None
    outputs: Outputs
    loss: Callable[[Tensor, Tensor], Tensor]
    validation_loss: Callable[[Tensor, Tensor], Tensor]
    encode: Callable[[NDArray[Any]], Tensor]
    answer: nn.Module
    score_name: str
    score: Callable[[Tensor, Tensor], float]
    adjust: Adjust | None = None
